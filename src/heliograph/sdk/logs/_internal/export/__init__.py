"""`heliograph.sdk.logs.export` under the private name that packages import it by."""

from heliograph.sdk.logs.export import *  # noqa: F403
