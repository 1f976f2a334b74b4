"""The native core."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self, TypeAlias, final

from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode
from polars import DataFrame, Series
from typing_extensions import Buffer, disjoint_base

class HeliographError(Exception): ...

class WireError(HeliographError):
    offset: int

@final
class Signal:
    TRACES: ClassVar[Signal]
    METRICS: ClassVar[Signal]
    LOGS: ClassVar[Signal]
    PROFILES: ClassVar[Signal]
    def __int__(self) -> int: ...

@final
class Context:
    """What is known of a request beside its bytes. Immutable.

    Metadata names are lower-case; ``deadline`` is on the scale of ``time.monotonic()``.
    """

    def __new__(
        cls,
        metadata: Mapping[str, Sequence[str]] | None = None,
        peer: str | None = None,
        auth: Mapping[str, str] | None = None,
        deadline: float | None = None,
    ) -> Context: ...
    @property
    def metadata(self) -> dict[str, tuple[str, ...]]: ...
    @property
    def peer(self) -> str | None: ...
    @property
    def auth(self) -> dict[str, str]: ...
    @property
    def deadline(self) -> float | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...

@final
class Batch:
    """One signal's export request in wire form. Immutable.

    Levels are ``resource scope metric item event link exemplar``; an item is a span, data point
    or log record.
    """

    def __new__(cls, signal: Signal, data: Buffer, context: Context | None = None) -> Batch:
        """Validate the structure down to each item's fields.

        Raises: WireError with the offset of the byte that is wrong.
        """
    @staticmethod
    def from_json(data: bytes, signal: Signal) -> Batch: ...
    def json(self) -> bytes: ...
    @property
    def signal(self) -> Signal: ...
    @property
    def items(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def context(self) -> Context: ...
    def with_context(self, context: Context) -> Batch: ...
    def wire(self) -> memoryview:
        """Return the bytes without copying them."""
    def frame(self, *paths: str, level: str | None = None) -> DataFrame:
        """Return one row for each entity of the level, the item when none is named.

        First come the row numbers of the entities above (``_resource``, ``_scope``, ``_metric``,
        ``_item``), then a column for each path, named as the path is written. Only these paths are
        decoded. docs/guide/paths.md has the notation.

        Raises:
            ValueError: a path or level means nothing for this signal.
            WireError: a value that was asked for is malformed.
        """
    def take(
        self, rows: Series | Sequence[bool] | Sequence[int], level: str | None = None
    ) -> Batch:
        """Keep the rows of a mask (null is false), or of row numbers, in the batch's order.

        Resources, scopes and metrics that lose their last item vanish; the rest is copied as it
        stands.

        Raises:
            ValueError: the mask is not as long as the level, or the signal has no such level.
            IndexError: a number is not a row's.
        """
    def edit(
        self,
        edits: Edits | Sequence[Edit],
        rows: Series | Sequence[bool] | Sequence[int] | None = None,
    ) -> Batch:
        """Make the edits in one pass; what none of them touches is copied as it stands.

        With ``rows``, a mask or row numbers of items, all other items and what is below them stay.

        Each edit sees what those before it made of the same map or field. The level is the path's
        prefix, the item without one. An edit that writes a key leaves it in the map once.

        Raises:
            ValueError: a path or value does not fit the signal, or a column or mask the rows.
            WireError: a value that an edit has to read is malformed.
        """
    def split(self, *, items: int | None = None, nbytes: int | None = None) -> list[Batch]:
        """Cut into batches of at most so many items and bytes, in order.

        Resource, scope and metric are repeated where the cut goes through them. An item that is
        larger than ``nbytes`` on its own is a batch of its own; profiles are never cut.
        """
    def partition(self, path: str) -> list[tuple[Any, Batch]]:
        """Cut by the value of a path, absent as None, in order of each value's first item.

        A resource, scope or metric without items is in none of the batches, unless there is only
        one value.
        """
    @staticmethod
    def join(batches: Sequence[Batch]) -> Batch:
        """Return one batch of all items. Its deadline is the nearest.

        Raises: ValueError for none, for different signals, metadata or auth, and for profiles.
        """

@disjoint_base
class Edit:
    """One change to a batch: one of the classes below."""

    @property
    def path(self) -> str: ...

_Value: TypeAlias = (
    str | bool | int | float | bytes | Sequence[_Value] | Mapping[str, _Value] | None
)

@final
class Set(Edit):
    """Write a value: a constant, or a column with one value for each row of the path's level.

    A null in a column leaves its row as it is; None is the empty value. ``rows`` limits the edit
    to a mask or row numbers of the path's level.
    """

    def __new__(
        cls,
        path: str,
        value: _Value | Series,
        when: Literal["always", "missing", "present"] = "always",
        rows: Series | Sequence[bool] | Sequence[int] | None = None,
    ) -> Set: ...

@final
class Delete(Edit):
    """Remove a field, or a key and all its occurrences, or all entries of a map."""

    def __new__(cls, path: str) -> Delete: ...

@final
class DeleteMatching(Edit):
    """Remove the keys of a map in which the pattern is found."""

    def __new__(cls, path: str, pattern: str) -> DeleteMatching: ...

@final
class Copy(Edit):
    """Write what another path holds, if it holds something.

    Within one map the source is read as the edits before have left it, elsewhere as it was in the
    batch.
    """

    def __new__(
        cls,
        path: str,
        from_path: str,
        when: Literal["always", "missing", "present"] = "always",
    ) -> Copy: ...

@final
class Hash(Edit):
    """Replace a value by its SHA-256 in hexadecimal, as the Collector's attributes processor does.

    With a pattern the path is a map, and the values of the keys in which it is found are replaced.
    """

    def __new__(cls, path: str, pattern: str | None = None) -> Hash: ...

@final
class Extract(Edit):
    """Write each named group of a pattern as an attribute beside the string it is found in."""

    def __new__(cls, path: str, pattern: str) -> Extract: ...

@final
class Convert(Edit):
    """Make a value another type; one that cannot be converted stays."""

    def __new__(cls, path: str, type: Literal["int", "double", "string"]) -> Convert: ...

@final
class Edits:
    """A sequence of edits, compiled once for each signal."""

    def __new__(cls, edits: Sequence[Edit]) -> Edits: ...

@final
class LokiPushes:
    @property
    def requests(self) -> list[tuple[str, int, bytes]]: ...
    @property
    def unlabelled(self) -> int: ...
    @property
    def unformatted(self) -> int: ...

@final
class LokiRules:
    def __new__(
        cls,
        *,
        exporter: bool,
        job: bool,
        instance: bool,
        level: bool,
        index: Sequence[str] | None,
        json: bool,
    ) -> LokiRules: ...
    def apply(self, batch: Batch, now: int) -> LokiPushes: ...

def regex_groups(pattern: str) -> list[str | None]:
    """Return the names of a pattern's groups, None for one without a name.

    Raises: ValueError when the core cannot compile the pattern.
    """

@final
class Events:
    def __new__(cls) -> Events: ...
    def fileno(self) -> int: ...
    def drain(self) -> list[tuple[Callable[[object], None], object]]: ...

@final
class Admission:
    limit: int | None
    @property
    def used(self) -> int: ...
    def refuse(self, reason: str | None, after: float = 1.0) -> None: ...

def admission() -> Admission: ...
def keep_freed_memory() -> None: ...
def release_freed_memory() -> None: ...
def compress(data: bytes, coding: str, level: int | None = None) -> bytes: ...

@final
class OtlpRequest:
    @property
    def id(self) -> int: ...
    @property
    def signal(self) -> Signal: ...
    @property
    def batch(self) -> Batch: ...
    @property
    def deadline(self) -> float | None: ...
    def ok(self, rejected: int = 0, message: str = "") -> bool: ...
    def fail(self, code: int, message: str, retry_after: float | None = None) -> bool: ...

@final
class OtlpQuestion:
    @property
    def headers(self) -> dict[str, str]: ...
    def admit(self, claims: Sequence[tuple[str, str]]) -> bool: ...
    def fail(self, code: int, message: str, retry_after: float | None = None) -> bool: ...

@final
class OtlpServer:
    def __new__(
        cls,
        events: Events,
        settings: dict[str, object],
        on_request: Callable[[OtlpRequest], None],
        on_gone: Callable[[int], None],
        on_warning: Callable[[str], None],
        on_question: Callable[[OtlpQuestion], None] | None = None,
    ) -> OtlpServer: ...
    @property
    def address(self) -> str: ...
    def socket(self) -> int:
        """Return a copy of the socket that is listened on; the caller closes it."""
    def turned_away(self) -> tuple[int, int]: ...
    def stop(self, grace: float, done: Callable[[None], None]) -> None: ...

@final
class Outcome:
    """What became of a request."""

    @property
    def ok(self) -> bool: ...
    @property
    def retryable(self) -> bool: ...
    @property
    def code(self) -> int:
        """gRPC status code; over HTTP what stands nearest."""

    @property
    def status(self) -> int:
        """HTTP status; 0 when there was none."""

    @property
    def message(self) -> str: ...
    @property
    def retry_after(self) -> float | None:
        """Seconds that the other side asks to wait."""

    @property
    def rejected(self) -> int:
        """Items that a partial success did not take."""

    @property
    def json(self) -> bytes:
        """The answer, when it is JSON; empty otherwise."""

@final
class Answer:
    """The answer to a POST."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> list[tuple[str, str]]: ...
    @property
    def body(self) -> bytes: ...
    @property
    def retry_after(self) -> float | None: ...

@final
class Call:
    """A request on its way."""

    def cancel(self) -> None:
        """Give up; the target may still be called once."""

@final
class GrpcClient:
    """Sends batches to one gRPC endpoint. Connects at the first.

    Raises: ValueError(option, message) when a setting cannot be used.
    """

    def __new__(cls, events: Events, settings: Mapping[str, object]) -> GrpcClient: ...
    @staticmethod
    def check_endpoint(endpoint: str) -> str | None: ...
    def send(
        self,
        batch: Batch,
        timeout: float,
        target: Callable[[Outcome], None],
        headers: list[tuple[str, str]] | None = None,
    ) -> Call: ...
    def pin(self, addresses: list[str] | None) -> None: ...
    def close(self) -> None: ...

@final
class HttpClient:
    """Sends batches, and whatever else, to HTTP servers.

    Raises: ValueError(option, message) when a setting cannot be used.
    """

    def __new__(cls, events: Events, settings: Mapping[str, object]) -> HttpClient: ...
    def send(
        self,
        batch: Batch,
        timeout: float,
        target: Callable[[Outcome], None],
        headers: list[tuple[str, str]] | None = None,
    ) -> Call: ...
    def post(
        self,
        url: str,
        headers: list[tuple[str, str]],
        body: bytes,
        timeout: float,
        target: Callable[[Answer | Outcome], None],
        limit: int = 4194304,
    ) -> Call: ...
    def pin(self, addresses: list[str] | None) -> None: ...

@final
class Journal:
    """An append-only queue on disk; several readers share one copy of a batch.

    ``fsync`` is 0 for a sync before each answer, seconds for one so often, None for never. When the
    journal is full, an append is refused, or with ``drop_oldest`` the oldest segment given up.
    ``on_warning`` is called with what somebody should know.

    Raises:
        ValueError: another format version wrote the directory; the text says what to do.
        BlockingIOError: another process uses it.
        OSError: it cannot be made, read or written.
    """

    def __new__(
        cls,
        events: Events,
        directory: str | os.PathLike[str],
        *,
        max_bytes: int,
        fsync: float | None,
        drop_oldest: bool = False,
        on_warning: Callable[[str], None] | None = None,
    ) -> Journal: ...
    @property
    def recovery(self) -> JournalRecovery: ...
    def reader(self, name: str) -> JournalReader: ...
    def append(
        self,
        batch: Batch,
        reader: JournalReader,
        target: Callable[[JournalOutcome], None],
        *,
        pack: bool = False,
        hold: bool = False,
    ) -> None:
        """Keep a batch for a reader. With ``pack`` it is compressed, with ``hold`` it is out."""
    def names(self) -> list[str]:
        """Return the readers that something waits for, or that are open."""
    def standing(self, name: str) -> tuple[int, tuple[int, int, int, int]]:
        """Return what waits for the reader of a name: records, and items by signal."""
    def adjust(self, *, max_bytes: int, fsync: float | None, drop_oldest: bool = False) -> None:
        """Have other limits from now on; where there is more than they allow, it stays."""
    @property
    def used(self) -> int:
        """Bytes on disk."""
    @property
    def max_bytes(self) -> int: ...
    @property
    def segments(self) -> int: ...
    @property
    def failed_writes(self) -> int: ...
    @property
    def failed_syncs(self) -> int: ...
    def close(self, done: Callable[[None], None]) -> None:
        """Write what is left and let go of the directory."""

@final
class JournalReader:
    """One of those who read a journal. Items are a count for each signal, in its order."""

    @property
    def name(self) -> str: ...
    @property
    def waiting(self) -> int:
        """Records that nobody has taken."""
    @property
    def waiting_bytes(self) -> int: ...
    @property
    def waiting_items(self) -> tuple[int, int, int, int]: ...
    @property
    def out(self) -> int:
        """Records that are taken or held, and not done."""
    @property
    def oldest_ns(self) -> int | None:
        """When the oldest that waits was appended, since the epoch."""
    @property
    def dropped(self) -> int:
        """Records given up because the journal was full."""
    @property
    def dropped_items(self) -> tuple[int, int, int, int]: ...
    @property
    def lost(self) -> int:
        """Records that could not be read any more."""
    @property
    def lost_items(self) -> tuple[int, int, int, int]: ...
    def take(self, target: Callable[[JournalRecord | None], None]) -> None:
        """Take the oldest record that waits; what was put back comes first."""
    def done(self, id: int) -> None:
        """Say that a record that is out will never be needed again."""
    def put_back(self, id: int) -> None:
        """Let a record that is out wait again."""

@final
class JournalRecord:
    """A batch from disk."""

    @property
    def id(self) -> int: ...
    @property
    def batch(self) -> Batch: ...
    @property
    def received_ns(self) -> int: ...

@final
class JournalOutcome:
    """What became of an append."""

    @property
    def id(self) -> int | None: ...
    @property
    def full(self) -> bool: ...
    @property
    def error(self) -> str: ...

@final
class JournalInspection:
    """What a directory has, read without opening it."""

    @property
    def readers(
        self,
    ) -> list[tuple[str, int, int, tuple[int, int, int, int], int | None]]:
        """Name, records that wait, their bytes, their items, when the oldest came (ns)."""
    @property
    def segments(
        self,
    ) -> list[tuple[str, int, int, int, tuple[int, str, int, bool] | None]]:
        """Name, bytes, records, bytes still needed, and the damage if there is some.

        The damage is the byte where reading stopped, the reason, the bytes skipped, and whether it
        is only the end of a write that is under way or was cut off.
        """
    @property
    def aside(self) -> list[tuple[str, int]]:
        """Files that are kept because they are damaged, and their bytes."""
    @property
    def used(self) -> int:
        """Bytes on disk."""

def inspect_journal(directory: str | os.PathLike[str]) -> JournalInspection:
    """Read a journal, every checksum of it, and change nothing; it may be open elsewhere.

    Raises: as `Journal`, but that another process may use it.
    """

@final
class JournalRecovery:
    """What was found when a journal was opened."""

    @property
    def records(self) -> int:
        """Records that waited for somebody; one that waited for two counts twice."""
    @property
    def bytes(self) -> int: ...
    @property
    def skipped_bytes(self) -> int: ...
    @property
    def notes(self) -> list[str]:
        """What could not be read, and where."""

VERSION: str
"""The version of the package."""

def fork_generation() -> int:
    """Return a number that changes in a forked child."""

def panics() -> int:
    """Return how many failures of the recorder were kept out of the program."""

def call_in_children(function: Callable[[], None]) -> None:
    """Call this once in each forked child, before anything is recorded there."""

def settle() -> None:
    """Do in a forked child what has to come before anything is recorded, unless it was done."""

def prepare() -> None:
    """Look up what the recorder uses of Python, rather than at first use."""

def hold_time(nanos: int | None) -> None:
    """Hold the recorder's clock at nanoseconds since 1970; None lets it go on, and ``2**64 - 1``
    makes it fail, as a bug would."""

def forget(object: object) -> None:
    """Never drop this object: what a forked child inherited must not be closed."""

def random_id(bits: int) -> int:
    """Return a random id of 64 or 128 bits, never zero."""

def encode_spans(spans: Iterable[Any]) -> Batch:
    """Encode `ReadableSpan`s, grouped by resource and scope.

    Raises: AttributeError and others when an object is no such span.
    """

def encode_logs(records: Iterable[Any]) -> Batch:
    """Encode `ReadableLogRecord`s, grouped by resource and scope.

    Raises: AttributeError and others when an object is no such record.
    """

@final
class LogRoute:
    """The processors of a logger provider, as its loggers see them."""

    def __new__(cls) -> LogRoute: ...
    def lead(self, queues: list[ExportQueue] | None) -> None:
        """Send records to these queues; with None, processors want objects."""

    def count(self) -> None:
        """Count a record that does not go through here."""

    @property
    def created(self) -> int:
        """Records that were emitted, in this process."""

@final
class LogRecorder:
    """Writes the records of one scope into the queues of a route.

    What takes a record returns False where processors want objects.
    """

    def __new__(
        cls, scope: Scope, route: LogRoute, count: int | None, length: int | None
    ) -> LogRecorder: ...
    def set_scope(self, scope: Scope) -> None:
        """Write records of this scope from now on."""

    def take(self, record: Any, attributes: Any) -> bool:
        """Take a record of the API with these attributes."""

    def emit(
        self,
        timestamp: int | None,
        observed: int | None,
        context: Any,
        severity_number: Any,
        severity_text: str | None,
        body: Any,
        attributes: Any,
        event_name: str | None,
    ) -> bool:
        """Take what a program says; the ids come from the context, or the current one."""

    def log(self, fields: dict[str, Any], body: Any, more: Any) -> bool:
        """Take a record of `logging`: its fields, its body, and attributes beside its own."""

class SpanBase:
    """What our spans have in common."""

@final
class Span(SpanBase):
    """A span, written in wire form while it is recorded. What ends it is final."""

    @staticmethod
    def unstarted(
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        scope: Scope,
        around: tuple[Any, Any],
        route: Route,
        limits: list[int | None],
        rules: tuple[bool, bool],
    ) -> Span:
        """Make a span that no tracer has started.

        Args:
            limits: as `Tracer.setup` takes them.
            rules: whether an exception that leaves its block is recorded, and sets its status.
        """

    def start(self, start_time: int | None = None, parent_context: Any = None) -> None:
        """Start what was made by `unstarted`; a tracer's spans have started."""

    def get_span_context(self) -> SpanContext: ...
    def is_recording(self) -> bool: ...
    def set_attribute(self, key: str, value: Any) -> None: ...
    def set_attributes(self, attributes: Mapping[str, Any]) -> None: ...
    def add_event(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
    ) -> None: ...
    def add_link(
        self, context: SpanContext, attributes: Mapping[str, Any] | None = None
    ) -> None: ...
    def update_name(self, name: str) -> None: ...
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None: ...
    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None: ...
    def end(self, end_time: int | None = None) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, kind: object, exception: object, traceback: object) -> bool: ...
    @property
    def name(self) -> str: ...
    @property
    def context(self) -> SpanContext: ...
    @property
    def parent(self) -> SpanContext | None: ...
    @property
    def kind(self) -> SpanKind: ...
    @property
    def start_time(self) -> int | None: ...
    @property
    def end_time(self) -> int | None: ...
    @property
    def around(self) -> tuple[Any, Any]:
        """Resource and instrumentation scope."""

    def status_parts(self) -> tuple[int, str | None]:
        """Return the code as OTLP numbers it, and the message."""

    def attribute_parts(self) -> tuple[dict[str, Any], int]:
        """Return the attributes, and how many were dropped."""

    def event_parts(self) -> tuple[list[tuple[str, int, dict[str, Any], int]], int]:
        """Return names, times, attributes and dropped ones, and how many events were dropped."""

    def link_parts(self) -> tuple[list[tuple[SpanContext, dict[str, Any], int]], int]:
        """Return contexts, attributes and dropped ones, and how many links were dropped."""

@final
class UnsampledSpan(SpanBase):
    """A span that nobody records: it only says where its children belong."""

    def get_span_context(self) -> SpanContext: ...
    def is_recording(self) -> bool: ...
    def set_attribute(self, key: str, value: Any) -> None: ...
    def set_attributes(self, attributes: Mapping[str, Any]) -> None: ...
    def add_event(
        self,
        name: str,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
    ) -> None: ...
    def add_link(
        self, context: SpanContext, attributes: Mapping[str, Any] | None = None
    ) -> None: ...
    def update_name(self, name: str) -> None: ...
    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None: ...
    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None: ...
    def end(self, end_time: int | None = None) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *args: object, **kwargs: object) -> bool: ...

@final
class CurrentSpan:
    """Starts a span on entering and makes it current; ends it on leaving."""

    def __enter__(self) -> Any: ...
    def __exit__(self, kind: object, exception: object, traceback: object) -> bool: ...
    def again(self) -> CurrentSpan:
        """Return the same, not entered yet."""

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]: ...

@final
class Scope:
    """A resource (attributes, schema URL) and a scope (name, version, attributes, schema URL)."""

    def __new__(
        cls,
        resource: tuple[Mapping[str, Any], str],
        scope: tuple[str, str, Mapping[str, Any], str],
    ) -> Scope: ...

@final
class ExportQueue:
    """Items of one signal that wait for export.

    ``wake(reason)`` is called: "start" at the first item in this process, "batch" when a request is
    complete, "room" to wait for room, "full" when an item was dropped.

    Raises: ValueError for another ``full``.
    """

    def __new__(
        cls,
        signal: Signal,
        wake: Callable[[str], object],
        *,
        batch: int,
        max_bytes: int,
        max_items: int | None = None,
        full: str = "drop_newest",
        as_objects: bool = False,
    ) -> ExportQueue: ...
    def take(self, *, all: bool) -> Batch | None:
        """Return the oldest complete request; with ``all`` also one that is not."""

    def add(self, span: Any) -> None:
        """Append a `ReadableSpan`, or a `ReadableLogRecord` where the queue's signal is logs."""

    def take_objects(self, *, all: bool) -> list[Any]:
        """Return the spans of a request, of a queue of objects; empty when there is none."""

    @property
    def has_room_again(self) -> bool:
        """Whether the last item that found no room would find some now."""

    def __len__(self) -> int: ...
    @property
    def nbytes(self) -> int:
        """Bytes that wait."""

    @property
    def dropped(self) -> int:
        """Items that found no room, in this process."""

    @property
    def taken(self) -> int:
        """Items that were taken for export, in this process."""

@final
class Route:
    """Where the spans of a provider go."""

    def __new__(cls) -> Route: ...
    def lead(
        self,
        queues: Sequence[ExportQueue],
        starts: tuple[Callable[..., object], ...],
        endings: tuple[Callable[..., object], ...],
        ends: tuple[Callable[..., object], ...],
    ) -> None:
        """Send spans to these queues, and to these methods of processors."""

    def counts(self) -> list[int]:
        """Return how many spans were started in this process, by sampling result (dropped,
        recorded, sampled) and then by parent (none, local, remote): nine numbers; then how many
        ended, of the recorded ones and of the sampled ones."""

@disjoint_base
class W3CPropagator:
    """Injects and extracts ``traceparent`` and ``tracestate``, ``baggage``, or all three."""

    def __new__(cls, *, trace: bool = True, baggage: bool = True) -> Self: ...
    def inject(self, carrier: Any, context: Any = None, setter: Any = None) -> None: ...
    def extract(self, carrier: Any, context: Any = None, getter: Any = None) -> Any: ...
    @property
    def fields(self) -> set[str]: ...

@disjoint_base
class Tracer:
    """Starts spans of one instrumentation scope."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self: ...
    def setup(
        self,
        plan: Any,
        generator: Any,
        scope: Scope,
        around: tuple[Any, Any],
        route: Route,
        limits: Sequence[int | None],
        enabled: bool,
    ) -> None:
        """Say how spans are started from now on.

        ``plan`` is a bool, a rejection threshold and the trace state of roots above it, five plans
        for a parent-based sampler, or a sampler. ``limits`` are attributes, their length, events,
        links, attributes of an event, of a link, and the length of both.
        """

    def start_span(
        self,
        name: str,
        context: Any = None,
        kind: Any = None,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> Any: ...
    def start_as_current_span(
        self,
        name: str,
        context: Any = None,
        kind: Any = None,
        attributes: Any = None,
        links: Any = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> CurrentSpan: ...

@final
class MetricClock:
    """The time of a meter provider, in nanoseconds since the epoch."""

    def __new__(cls) -> MetricClock: ...
    def now(self) -> int: ...
    def stop(self, time: int) -> None:
        """Stand still at this time, for tests; 0 lets it run again, and -1 makes measurements
        fail that ask for it."""

@final
class MetricStorage:
    """The series of one instrument under one view for one reader.

    Raises: KeyError or ValueError when a setting is missing or means nothing.
    """

    def __new__(cls, settings: Mapping[str, object], clock: MetricClock) -> MetricStorage: ...

@final
class MetricStreams:
    """The storages of one reader."""

    def __new__(cls) -> MetricStreams: ...
    def add_scope(self, name: str, version: str, attributes: object, schema_url: str) -> int: ...
    def add(self, scope: int, storage: MetricStorage) -> None: ...
    def collect(
        self, resource: object, schema_url: str, now: int
    ) -> tuple[Batch, list[int]] | None:
        """Return the export request, and the scopes that are in it; None when there is nothing.

        Deltas begin again. ``resource`` is a mapping of attributes.
        """

@final
class MetricTargets:
    """Where the measurements of an instrument go.

    Args:
        exemplars: ``trace_based``, ``always_on``, ``always_off``, or a function of amount, time,
            attributes and context.
        negative: whether measurements may be below zero.
        refuse: told a reason and what cannot be taken.
    """

    def __new__(
        cls,
        storages: Sequence[MetricStorage],
        exemplars: str | Callable[..., bool],
        negative: bool,
        clock: MetricClock,
        refuse: Callable[[str, object], None],
    ) -> MetricTargets: ...
    def observe(self, value: float, attributes: object = None, context: object = None) -> None: ...

@disjoint_base
class MetricAdder:
    """The base of counters. Measures nothing until it is bound."""

    def __new__(cls, *_args: object, **_kwargs: object) -> Self: ...
    def _bind(self, targets: MetricTargets | None) -> None: ...
    def add(self, amount: float, attributes: Any = None, context: Any = None) -> None: ...

@disjoint_base
class MetricRecorder:
    """The base of histograms. Measures nothing until it is bound."""

    def __new__(cls, *_args: object, **_kwargs: object) -> Self: ...
    def _bind(self, targets: MetricTargets | None) -> None: ...
    def record(self, amount: float, attributes: Any = None, context: Any = None) -> None: ...

@disjoint_base
class MetricSetter:
    """The base of gauges. Measures nothing until it is bound."""

    def __new__(cls, *_args: object, **_kwargs: object) -> Self: ...
    def _bind(self, targets: MetricTargets | None) -> None: ...
    def set(self, amount: float, attributes: Any = None, context: Any = None) -> None: ...

def metrics_of(batch: Batch, module: object) -> list[list[Any]]:
    """Return the metrics of each scope, made of the classes that a module has for them.

    Raises: WireError when the batch is no metrics, or malformed.
    """

def encode_metrics(data: object) -> Batch:
    """Return the export request of a ``MetricsData``, whoever made it.

    Raises: AttributeError or TypeError when it is none.
    """
