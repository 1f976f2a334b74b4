"""httpx2, which the clients of OpenAI and Anthropic are made with: the classes of httpx.

Hooks are those of `heliograph.instrument.fast.httpx`; the name in variables is ``httpx2``.
"""

from heliograph.instrument.fast.httpx import instrument as instrument
