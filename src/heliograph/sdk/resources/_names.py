"""Names of resource attributes that programs use as constants."""

CLOUD_ACCOUNT_ID = "cloud.account.id"
CLOUD_AVAILABILITY_ZONE = "cloud.availability_zone"
CLOUD_PROVIDER = "cloud.provider"
CLOUD_REGION = "cloud.region"
CONTAINER_ID = "container.id"
CONTAINER_IMAGE_NAME = "container.image.name"
CONTAINER_IMAGE_TAG = "container.image.tag"
CONTAINER_NAME = "container.name"
DEPLOYMENT_ENVIRONMENT = "deployment.environment"
FAAS_ID = "faas.id"
FAAS_INSTANCE = "faas.instance"
FAAS_NAME = "faas.name"
FAAS_VERSION = "faas.version"
HOST_ARCH = "host.arch"
HOST_ID = "host.id"
HOST_IMAGE_ID = "host.image.id"
HOST_IMAGE_NAME = "host.image.name"
HOST_IMAGE_VERSION = "host.image.version"
HOST_NAME = "host.name"
HOST_TYPE = "host.type"
KUBERNETES_CLUSTER_NAME = "k8s.cluster.name"
KUBERNETES_CONTAINER_NAME = "k8s.container.name"
KUBERNETES_CRON_JOB_NAME = "k8s.cronjob.name"
KUBERNETES_CRON_JOB_UID = "k8s.cronjob.uid"
KUBERNETES_DAEMON_SET_NAME = "k8s.daemonset.name"
KUBERNETES_DAEMON_SET_UID = "k8s.daemonset.uid"
KUBERNETES_DEPLOYMENT_NAME = "k8s.deployment.name"
KUBERNETES_DEPLOYMENT_UID = "k8s.deployment.uid"
KUBERNETES_JOB_NAME = "k8s.job.name"
KUBERNETES_JOB_UID = "k8s.job.uid"
KUBERNETES_NAMESPACE_NAME = "k8s.namespace.name"
KUBERNETES_NODE_NAME = "k8s.node.name"
KUBERNETES_POD_NAME = "k8s.pod.name"
KUBERNETES_POD_UID = "k8s.pod.uid"
KUBERNETES_REPLICA_SET_NAME = "k8s.replicaset.name"
KUBERNETES_REPLICA_SET_UID = "k8s.replicaset.uid"
KUBERNETES_STATEFUL_SET_NAME = "k8s.statefulset.name"
KUBERNETES_STATEFUL_SET_UID = "k8s.statefulset.uid"
OS_DESCRIPTION = "os.description"
OS_TYPE = "os.type"
OS_VERSION = "os.version"
PROCESS_COMMAND = "process.command"
PROCESS_COMMAND_ARGS = "process.command_args"
PROCESS_COMMAND_LINE = "process.command_line"
PROCESS_EXECUTABLE_NAME = "process.executable.name"
PROCESS_EXECUTABLE_PATH = "process.executable.path"
PROCESS_OWNER = "process.owner"
PROCESS_PARENT_PID = "process.parent_pid"
PROCESS_PID = "process.pid"
PROCESS_RUNTIME_DESCRIPTION = "process.runtime.description"
PROCESS_RUNTIME_NAME = "process.runtime.name"
PROCESS_RUNTIME_VERSION = "process.runtime.version"
SERVICE_INSTANCE_ID = "service.instance.id"
SERVICE_NAME = "service.name"
SERVICE_NAMESPACE = "service.namespace"
SERVICE_VERSION = "service.version"
TELEMETRY_AUTO_VERSION = "telemetry.auto.version"
TELEMETRY_SDK_LANGUAGE = "telemetry.sdk.language"
TELEMETRY_SDK_NAME = "telemetry.sdk.name"
TELEMETRY_SDK_VERSION = "telemetry.sdk.version"

__all__ = [
    "CLOUD_ACCOUNT_ID",
    "CLOUD_AVAILABILITY_ZONE",
    "CLOUD_PROVIDER",
    "CLOUD_REGION",
    "CONTAINER_ID",
    "CONTAINER_IMAGE_NAME",
    "CONTAINER_IMAGE_TAG",
    "CONTAINER_NAME",
    "DEPLOYMENT_ENVIRONMENT",
    "FAAS_ID",
    "FAAS_INSTANCE",
    "FAAS_NAME",
    "FAAS_VERSION",
    "HOST_ARCH",
    "HOST_ID",
    "HOST_IMAGE_ID",
    "HOST_IMAGE_NAME",
    "HOST_IMAGE_VERSION",
    "HOST_NAME",
    "HOST_TYPE",
    "KUBERNETES_CLUSTER_NAME",
    "KUBERNETES_CONTAINER_NAME",
    "KUBERNETES_CRON_JOB_NAME",
    "KUBERNETES_CRON_JOB_UID",
    "KUBERNETES_DAEMON_SET_NAME",
    "KUBERNETES_DAEMON_SET_UID",
    "KUBERNETES_DEPLOYMENT_NAME",
    "KUBERNETES_DEPLOYMENT_UID",
    "KUBERNETES_JOB_NAME",
    "KUBERNETES_JOB_UID",
    "KUBERNETES_NAMESPACE_NAME",
    "KUBERNETES_NODE_NAME",
    "KUBERNETES_POD_NAME",
    "KUBERNETES_POD_UID",
    "KUBERNETES_REPLICA_SET_NAME",
    "KUBERNETES_REPLICA_SET_UID",
    "KUBERNETES_STATEFUL_SET_NAME",
    "KUBERNETES_STATEFUL_SET_UID",
    "OS_DESCRIPTION",
    "OS_TYPE",
    "OS_VERSION",
    "PROCESS_COMMAND",
    "PROCESS_COMMAND_ARGS",
    "PROCESS_COMMAND_LINE",
    "PROCESS_EXECUTABLE_NAME",
    "PROCESS_EXECUTABLE_PATH",
    "PROCESS_OWNER",
    "PROCESS_PARENT_PID",
    "PROCESS_PID",
    "PROCESS_RUNTIME_DESCRIPTION",
    "PROCESS_RUNTIME_NAME",
    "PROCESS_RUNTIME_VERSION",
    "SERVICE_INSTANCE_ID",
    "SERVICE_NAME",
    "SERVICE_NAMESPACE",
    "SERVICE_VERSION",
    "TELEMETRY_AUTO_VERSION",
    "TELEMETRY_SDK_LANGUAGE",
    "TELEMETRY_SDK_NAME",
    "TELEMETRY_SDK_VERSION",
]
