"""`heliograph.sdk.logs` under the name that it has in the official SDK."""

import sys

from heliograph.sdk import logs
from heliograph.sdk.logs import *  # noqa: F403 - for type checkers
from heliograph.sdk.logs import export

sys.modules[__name__] = logs
sys.modules[f"{__name__}.export"] = export
