//! Starting spans: parent, sampling, ids.

use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::super::ids::Ids as Generator;
use super::super::scope::Scope;
use super::super::span::{Ids, put_link};
use super::api::{Api, Place, state_text};
use super::current::PyCurrent;
use super::fence::guarded;
use super::given::{link_place, nanoseconds};
use super::held::Held;
use super::queue::{PyRoute, PyScope};
use super::room::{SpanLimits, new_parts, read_attributes};
use super::span::{Birth, PySpan};
use super::unsampled::PyUnsampled;
use super::values;

static IDS: Held<Generator> = Held::new(Generator::new());

const SAMPLED: u8 = 1;
const RANDOM: u8 = 2;
/// The bits of a trace id that are random.
const RANDOMNESS: u64 = (1 << 56) - 1;

/// A random id of 64 or 128 bits, never zero.
#[pyfunction]
pub fn random_id(py: Python<'_>, bits: u32) -> u128 {
    IDS.with(py, |ids| if bits > 64 { ids.trace_id() } else { ids.span_id().into() }).unwrap_or(1)
}

/// The arguments of `start_span`.
pub struct Start<'a, 'py> {
    pub name: &'a Bound<'py, PyAny>,
    pub context: Option<&'a Bound<'py, PyAny>>,
    pub kind: Option<&'a Bound<'py, PyAny>>,
    pub attributes: Option<&'a Bound<'py, PyAny>>,
    pub links: Option<&'a Bound<'py, PyAny>>,
    pub start_time: Option<&'a Bound<'py, PyAny>>,
    pub record_exception: bool,
    pub set_status_on_exception: bool,
}

/// Our own samplers, decided here; others are asked.
enum Sampler {
    Always(bool),
    /// Sampled when the randomness is at least this threshold; the trace state of such a root.
    Ratio(u64, Py<PyAny>),
    /// root, remote sampled, remote not sampled, local sampled, local not sampled
    Parent(Box<[Sampler; 5]>),
    Python(Py<PyAny>),
}

enum Choice {
    Made(bool),
    Ratio(u64, Py<PyAny>),
    Ask(Py<PyAny>),
}

impl Sampler {
    /// Read what `heliograph.sdk.trace._helpers.plan` says of a sampler.
    fn read(plan: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(always) = plan.extract::<bool>() {
            return Ok(Self::Always(always));
        }
        if let Ok((threshold, state)) = plan.extract::<(u64, Py<PyAny>)>() {
            return Ok(Self::Ratio(threshold, state));
        }
        if let Ok(parts) = plan.cast::<PyTuple>() {
            let parts: Vec<Self> =
                parts.iter().map(|part| Self::read(&part)).collect::<PyResult<_>>()?;
            if let Ok(parts) = <[Self; 5]>::try_from(parts) {
                return Ok(Self::Parent(Box::new(parts)));
            }
        }
        Ok(Self::Python(plan.clone().unbind()))
    }

    fn choose(&self, py: Python<'_>, parent: Option<Ids>) -> Choice {
        match self {
            Self::Always(always) => Choice::Made(*always),
            Self::Ratio(threshold, state) => Choice::Ratio(*threshold, state.clone_ref(py)),
            Self::Parent(parts) => {
                let part = match parent {
                    None => 0,
                    Some(ids) => {
                        1 + usize::from(!ids.remote) * 2 + usize::from(ids.flags & SAMPLED == 0)
                    }
                };
                parts[part].choose(py, parent)
            }
            Self::Python(sampler) => Choice::Ask(sampler.clone_ref(py)),
        }
    }
}

struct Setup {
    sampler: Sampler,
    /// What makes ids, unless we do.
    generator: Option<Py<PyAny>>,
    scope: Arc<Scope>,
    around: Py<PyAny>,
    route: Py<PyRoute>,
    limits: SpanLimits,
    enabled: bool,
}

/// Starts spans of one instrumentation scope.
#[pyclass(name = "Tracer", module = "heliograph._core", subclass, frozen)]
pub struct PyTracer(Held<Option<Setup>>);

/// What is needed of a setup to start one span.
struct Drawn {
    scope: Arc<Scope>,
    around: Py<PyAny>,
    route: Py<PyRoute>,
    limits: SpanLimits,
}

impl PyTracer {
    /// Start a span; `current` is the current context, for whom it has been looked up already.
    pub fn begin<'py>(
        slf: &Bound<'py, Self>,
        start: &Start<'_, 'py>,
        current: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        match guarded(py, "the start of a span", || Self::begin_now(slf, start, current))? {
            Some(span) => Ok(span),
            None => Ok(PyUnsampled::create(py, Ids::NONE, None)?.into_any()),
        }
    }

    fn begin_now<'py>(
        slf: &Bound<'py, Self>,
        start: &Start<'_, 'py>,
        current: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        super::settle(py);
        let api = Api::get(py)?;
        let found = guarded(py, "the parent of a span", || match start.context.or(current) {
            Some(context) => api.parent(py, context),
            None => api.parent(py, &api.current(py)?),
        })?
        .flatten();
        let setup = &slf.get().0;
        let generator = setup
            .with(py, |setup| {
                let setup = setup.as_ref()?;
                setup.enabled.then(|| setup.generator.as_ref().map(|one| one.clone_ref(py)))
            })
            .flatten();
        let Some(generator) = generator else {
            let context = found.map(|place| match place.context {
                Some(context) => Ok(context.into_bound(py)),
                None => api.span_context(py, place.ids, place.state.as_ref()),
            });
            let context = match context {
                Some(context) => context?,
                None => api.span_context(py, Ids::NONE, None)?,
            };
            return api.non_recording.bind(py).call1((context,));
        };
        let parent = found.filter(|place| place.ids.is_valid());
        let parent_ref = parent.as_ref();
        let given = match &generator {
            Some(one) => {
                guarded(py, "an id generator", || given_ids(py, one.bind(py), parent_ref))?
            }
            None => None,
        };
        let (trace, span, random) = given.unwrap_or_else(|| own_ids(py, parent_ref));
        let above = parent.as_ref().map(|parent| parent.ids);
        let choice = setup
            .with(py, |setup| setup.as_ref().map(|setup| setup.sampler.choose(py, above)))
            .flatten()
            .unwrap_or(Choice::Made(false));
        let inherited = parent_ref.and_then(|parent| parent.state.as_ref());
        let decided = |sampled| {
            let state = inherited.map(|state| state.clone_ref(py));
            (sampled, sampled, state, start.attributes.cloned())
        };
        let (sampled, recording, state, given) = match choice {
            Choice::Made(sampled) => decided(sampled),
            Choice::Ratio(threshold, root) => {
                let (sampled, state) = ratio(py, threshold, root, trace, random, inherited)?;
                (sampled, sampled, state, start.attributes.cloned())
            }
            Choice::Ask(sampler) => {
                // Where a sampler fails the parent decides.
                let sampled = above.is_some_and(|above| above.flags & SAMPLED != 0);
                guarded(py, "a sampler", || ask(py, &sampler, trace, start))?
                    .unwrap_or_else(|| decided(sampled))
            }
        };
        let result = usize::from(recording) + usize::from(sampled);
        let origin = above.map_or(0, |above| 1 + usize::from(above.remote));
        let flags = if sampled { SAMPLED } else { 0 } | if random { RANDOM } else { 0 };
        let ids = Ids { trace, span, flags, remote: false };
        if !recording {
            setup.with(py, |setup| {
                setup.as_ref().map(|setup| setup.route.get().count_start(py, result, origin))
            });
            return Ok(PyUnsampled::create(py, ids, state)?.into_any());
        }
        let drawn = setup.with(py, |setup| {
            setup.as_ref().map(|setup| Drawn {
                scope: setup.scope.clone(),
                around: setup.around.clone_ref(py),
                route: setup.route.clone_ref(py),
                limits: setup.limits,
            })
        });
        let Some(drawn) = drawn.flatten() else {
            return Ok(PyUnsampled::create(py, ids, state)?.into_any());
        };
        drawn.route.get().count_start(py, result, origin);
        let mut parts = new_parts();
        if let Some(attributes) = &given {
            values::update(&mut parts.attributes, 9, drawn.limits.span, attributes);
        }
        if let Some(links) = start.links {
            let links = || put_links(links, drawn.limits, &mut parts.links);
            guarded(py, "the links of a span", links)?;
        }
        let birth = Birth {
            ids,
            trace_state: state,
            parent,
            kind: kind_number(py, api, start.kind),
            start: Some(nanoseconds(start.start_time)),
            limits: drawn.limits,
            scope: drawn.scope,
            route: drawn.route.clone_ref(py),
            around: drawn.around,
            record_exception: start.record_exception,
            set_status_on_exception: start.set_status_on_exception,
            name: start.name.clone().unbind(),
            parts,
        };
        let span = PySpan::create(py, birth)?;
        drawn.route.get().started(&span, start.context)?;
        Ok(span.into_any())
    }
}

/// Whether the trace id of a span is random, when that of a new trace is so.
fn is_random(parent: Option<&Place>, own: bool) -> bool {
    parent.map_or(own, |parent| parent.ids.flags & RANDOM != 0)
}

/// The ids of a span, made here.
fn own_ids(py: Python<'_>, parent: Option<&Place>) -> (u128, u64, bool) {
    let made = IDS.with(py, |ids| {
        let trace = parent.map_or_else(|| ids.trace_id(), |parent| parent.ids.trace);
        (trace, ids.span_id())
    });
    let (trace, span) = made.unwrap_or((1, 1));
    (trace, span, is_random(parent, true))
}

/// The same, made by a generator written in Python.
fn given_ids<'py>(
    py: Python<'py>,
    generator: &Bound<'py, PyAny>,
    parent: Option<&Place>,
) -> PyResult<(u128, u64, bool)> {
    let trace = match parent {
        Some(parent) => parent.ids.trace,
        None => generator.call_method0(intern!(py, "generate_trace_id"))?.extract()?,
    };
    let span = generator.call_method0(intern!(py, "generate_span_id"))?.extract()?;
    // Generators written before the random flag do not say.
    let own = match parent {
        Some(_) => false,
        None => generator
            .call_method0(intern!(py, "is_trace_id_random"))
            .and_then(|says| says.is_truthy())
            .unwrap_or(false),
    };
    Ok((trace, span, is_random(parent, own)))
}

/// Decide for a share of the traces: whether it is sampled, and its trace state.
fn ratio(
    py: Python<'_>,
    threshold: u64,
    root: Py<PyAny>,
    trace: u128,
    random: bool,
    above: Option<&Py<PyAny>>,
) -> PyResult<(bool, Option<Py<PyAny>>)> {
    let above = above.filter(|state| state.bind(py).len().unwrap_or(0) > 0);
    if above.is_some() || !random {
        return Api::help(py, "ratio", (threshold, trace, random, above))?.extract();
    }
    let sampled = (trace as u64) & RANDOMNESS >= threshold;
    Ok((sampled, sampled.then_some(root)))
}

type Asked<'py> = (bool, bool, Option<Py<PyAny>>, Option<Bound<'py, PyAny>>);

/// Ask a sampler written in Python: sampled, recorded, trace state, attributes.
fn ask<'py>(
    py: Python<'py>,
    sampler: &Py<PyAny>,
    trace: u128,
    start: &Start<'_, 'py>,
) -> PyResult<Asked<'py>> {
    let kind = match start.kind {
        Some(kind) => kind.clone(),
        None => Api::get(py)?.kinds[0].bind(py).clone(),
    };
    let links = match start.links {
        Some(links) => links.clone(),
        None => PyTuple::empty(py).into_any(),
    };
    let arguments = (start.context, trace, start.name, kind, start.attributes, links);
    let result = sampler.bind(py).call_method1(intern!(py, "should_sample"), arguments)?;
    let decision = result.getattr(intern!(py, "decision"))?;
    let decision: u8 = decision.getattr(intern!(py, "value"))?.extract()?;
    let state = result.getattr(intern!(py, "trace_state"))?;
    let state = (!state.is_none()).then(|| state.unbind());
    let attributes = result.getattr(intern!(py, "attributes"))?;
    Ok((decision == 2, decision > 0, state, Some(attributes)))
}

fn put_links(
    links: &Bound<'_, PyAny>,
    limits: SpanLimits,
    into: &mut super::super::span::Entries,
) -> PyResult<()> {
    let py = links.py();
    if links.is_none() {
        return Ok(());
    }
    for link in links.try_iter()? {
        let link = link?;
        if link.is_none() {
            continue;
        }
        let context = link.getattr(intern!(py, "context"))?;
        let attributes = link.getattr(intern!(py, "attributes"))?;
        let Some(place) = link_place(&context, Some(&attributes))? else { continue };
        let trace_state = state_text(py, place.state.as_ref());
        read_attributes(Some(&attributes), 4, limits.link, |attributes| {
            into.push(limits.links, |out| put_link(out, place.ids, &trace_state, attributes));
        });
    }
    Ok(())
}

/// As OTLP numbers the kinds.
pub fn kind_number(py: Python<'_>, api: &Api, kind: Option<&Bound<'_, PyAny>>) -> u8 {
    let Some(kind) = kind else { return 1 };
    let found = api.kinds.iter().position(|known| known.bind(py).is(kind));
    found.map_or(1, |at| at as u8 + 1)
}

#[pymethods]
impl PyTracer {
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        let _ = (args, kwargs);
        Self(Held::new(None))
    }

    /// Say how spans are started from now on.
    ///
    /// `plan` is a bool, a rejection threshold and the trace state of roots above it, five plans for
    /// a parent-based sampler, or a sampler.
    /// `limits` are as `SpanLimits::read` takes them.
    #[allow(clippy::too_many_arguments)] // Python passes them.
    fn setup(
        &self,
        py: Python<'_>,
        plan: &Bound<'_, PyAny>,
        generator: Option<Py<PyAny>>,
        scope: &Bound<'_, PyScope>,
        around: Py<PyAny>,
        route: Py<PyRoute>,
        limits: [Option<usize>; 7],
        enabled: bool,
    ) -> PyResult<()> {
        let setup = Setup {
            sampler: Sampler::read(plan)?,
            generator,
            scope: scope.get().0.clone(),
            around,
            route,
            limits: SpanLimits::read(limits),
            enabled,
        };
        let _old = self.0.with(py, |old| old.replace(setup));
        Ok(())
    }

    #[pyo3(signature = (
        name, context=None, kind=None, attributes=None, links=None, start_time=None,
        record_exception=true, set_status_on_exception=true,
    ))]
    #[allow(clippy::too_many_arguments)] // Python passes them.
    fn start_span<'py>(
        slf: &Bound<'py, Self>,
        name: &Bound<'py, PyAny>,
        context: Option<&Bound<'py, PyAny>>,
        kind: Option<&Bound<'py, PyAny>>,
        attributes: Option<&Bound<'py, PyAny>>,
        links: Option<&Bound<'py, PyAny>>,
        start_time: Option<&Bound<'py, PyAny>>,
        record_exception: bool,
        set_status_on_exception: bool,
    ) -> PyResult<Bound<'py, PyAny>> {
        let start = Start {
            name,
            context,
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
        };
        Self::begin(slf, &start, None)
    }

    #[pyo3(signature = (
        name, context=None, kind=None, attributes=None, links=None, start_time=None,
        record_exception=true, set_status_on_exception=true, end_on_exit=true,
    ))]
    #[allow(clippy::too_many_arguments)] // Python passes them.
    fn start_as_current_span(
        slf: Py<Self>,
        name: Py<PyAny>,
        context: Option<Py<PyAny>>,
        kind: Option<Py<PyAny>>,
        attributes: Option<Py<PyAny>>,
        links: Option<Py<PyAny>>,
        start_time: Option<Py<PyAny>>,
        record_exception: bool,
        set_status_on_exception: bool,
        end_on_exit: bool,
    ) -> PyCurrent {
        PyCurrent {
            tracer: slf,
            name,
            context,
            kind,
            attributes,
            links,
            start_time,
            record_exception,
            set_status_on_exception,
            end_on_exit,
            entered: Held::new(None),
        }
    }
}
