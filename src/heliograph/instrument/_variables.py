"""Every variable that `heliograph run` has a flag for."""

from heliograph.instrument.fast import LIBRARIES
from heliograph.sdk import environment_variables

_API = (
    "OTEL_CONFIG_FILE",
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS",
    "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_REQUEST",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_CLIENT_RESPONSE",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SANITIZE_FIELDS",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST",
    "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_RESPONSE",
    "OTEL_LOGS_EXPORTER",
    "OTEL_METRICS_EXPORTER",
    "OTEL_PROPAGATORS",
    "OTEL_PYTHON_AUTO_INSTRUMENTATION_EXPERIMENTAL_GEVENT_PATCH",
    "OTEL_PYTHON_CONFIGURATOR",
    "OTEL_PYTHON_CONTEXT",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS",
    "OTEL_PYTHON_DISTRO",
    "OTEL_PYTHON_EXCLUDED_URLS",
    "OTEL_PYTHON_ID_GENERATOR",
    "OTEL_PYTHON_LOGGER_PROVIDER",
    "OTEL_PYTHON_LOGGING_AUTO_INSTRUMENTATION_ENABLED",
    "OTEL_PYTHON_LOG_CORRELATION",
    "OTEL_PYTHON_LOG_FORMAT",
    "OTEL_PYTHON_LOG_LEVEL",
    "OTEL_PYTHON_METER_PROVIDER",
    "OTEL_PYTHON_TRACER_PROVIDER",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_SEMCONV_STABILITY_OPT_IN",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_EXPORTER",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
)


def flags() -> dict[str, str]:
    """Return the variable of each flag, such as ``service_name``; with and without ``python_``."""
    names = {name for name in vars(environment_variables) if name.startswith("OTEL_")} | set(_API)
    names |= {f"OTEL_PYTHON_{library.upper()}_EXCLUDED_URLS" for library in LIBRARIES}
    found = {name.removeprefix("OTEL_").lower(): name for name in names}
    for name in names:
        found.setdefault(name.removeprefix("OTEL_").removeprefix("PYTHON_").lower(), name)
    return found
