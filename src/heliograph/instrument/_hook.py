"""Acting on a module right after it was imported, before the importing statement goes on."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Action = Callable[[ModuleType], None]


class ImportHook:
    """A finder that finds nothing of its own, and wakes actions when others' modules have run."""

    def __init__(self) -> None:
        self._actions: dict[str, list[Action]] = {}
        self._below: dict[str, Action] = {}

    def install(self) -> None:
        """Go first: what other finders find is wrapped."""
        sys.meta_path.insert(0, self)

    def when_imported(self, name: str, action: Action) -> None:
        """Do this when a module has been imported, at once when it is already. Never raises."""
        module = sys.modules.get(name)
        spec = getattr(module, "__spec__", None)
        if module is not None and not getattr(spec, "_initializing", False):
            _act(action, module)
        else:
            self._actions.setdefault(name, []).append(action)

    def after_each(self, package: str, action: Action) -> None:
        """Do this after each import of a module below a package, until `forget`."""
        self._below[f"{package}."] = action

    def forget(self, package: str) -> None:
        """End what `after_each` began."""
        self._below.pop(f"{package}.", None)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._actions and not fullname.startswith(tuple(self._below)):
            return None
        for finder in list(sys.meta_path):
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if hasattr(spec.loader, "exec_module"):
                    loader: Any = _Waking(spec.loader, lambda module: self._fire(fullname, module))
                    spec.loader = loader
                return spec
        return None

    def _fire(self, name: str, module: ModuleType) -> None:
        below = [action for package, action in self._below.items() if name.startswith(package)]
        for action in [*self._actions.pop(name, ()), *below]:
            _act(action, module)


class _Waking:
    """The module's own loader, and then the actions."""

    def __init__(self, loader: Any, fire: Action) -> None:
        self._loader = loader
        self._fire = fire

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        found: ModuleType | None = self._loader.create_module(spec)
        return found

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        # The module is whole: a thread that an action waits for may import it, too.
        if module.__spec__ is not None:
            module.__spec__._initializing = False  # type: ignore[attr-defined]
        self._fire(sys.modules.get(module.__name__, module))


def _act(action: Action, module: ModuleType) -> None:
    try:
        action(module)
    except Exception as error:
        print(f"heliograph: {module.__name__}: {error!r}", file=sys.stderr)
