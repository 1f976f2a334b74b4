//! Metrics as Python objects of the SDK's shape, read back from OTLP on demand.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use crate::recorder::py::values;
use crate::wire::proto::{self, Fault, Field, Reader, Value};
use crate::wire::py::PyBatch;
use crate::wire::py::wire_error;

/// The fields of a message.
fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<Field<'_>, Fault>> {
    let mut reader = Reader::new(bytes);
    std::iter::from_fn(move || reader.field().transpose())
}

/// The metrics of a request's scopes, in order, as `Metric` and what belongs to it in a module.
#[pyfunction]
pub fn metrics_of<'py>(
    batch: &Bound<'py, PyBatch>,
    module: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyList>> {
    let py = batch.py();
    let data = &batch.get().0.data;
    Shapes::of(module)?.scopes(py, data).map_err(|error| match error {
        Failed::Wire(fault) => wire_error(py, &fault.within(data)),
        Failed::Python(error) => error,
    })
}

enum Failed {
    Wire(Fault),
    Python(PyErr),
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Failed::Wire(fault)
    }
}

impl From<PyErr> for Failed {
    fn from(error: PyErr) -> Self {
        Failed::Python(error)
    }
}

/// The classes to make.
struct Shapes<'py> {
    metric: Bound<'py, PyAny>,
    /// By the number of the field in a metric.
    data: [(u32, Bound<'py, PyAny>, Bound<'py, PyAny>); 4],
    buckets: Bound<'py, PyAny>,
    exemplar: Bound<'py, PyAny>,
    temporality: Bound<'py, PyAny>,
}

/// What any kind of point may hold.
#[derive(Default)]
struct Point<'a> {
    start: u64,
    time: u64,
    number: Option<Value<'a>>,
    count: u64,
    sum: f64,
    scale: i32,
    zeros: u64,
    flags: u64,
    counts: &'a [u8],
    bounds: &'a [u8],
    positive: &'a [u8],
    negative: &'a [u8],
    min: Option<f64>,
    max: Option<f64>,
    exemplars: Vec<&'a [u8]>,
}

const GAUGE: u32 = 5;
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL: u32 = 10;

impl<'py> Shapes<'py> {
    fn of(module: &Bound<'py, PyAny>) -> PyResult<Self> {
        let number = module.getattr("NumberDataPoint")?;
        let exponential = module.getattr("ExponentialHistogramDataPoint")?;
        Ok(Self {
            metric: module.getattr("Metric")?,
            data: [
                (GAUGE, module.getattr("Gauge")?, number.clone()),
                (SUM, module.getattr("Sum")?, number),
                (HISTOGRAM, module.getattr("Histogram")?, module.getattr("HistogramDataPoint")?),
                (EXPONENTIAL, module.getattr("ExponentialHistogram")?, exponential),
            ],
            buckets: module.getattr("Buckets")?,
            exemplar: module.getattr("Exemplar")?,
            temporality: module.getattr("AggregationTemporality")?,
        })
    }

    fn scopes(&self, py: Python<'py>, request: &[u8]) -> Result<Bound<'py, PyList>, Failed> {
        let scopes = PyList::empty(py);
        for resource in fields(request) {
            for scope in fields(resource?.bytes()?) {
                let scope = scope?;
                if scope.number != 2 {
                    continue;
                }
                let metrics = PyList::empty(py);
                for metric in fields(scope.bytes()?) {
                    let metric = metric?;
                    if metric.number == 2 {
                        metrics.append(self.metric(py, metric.bytes()?)?)?;
                    }
                }
                scopes.append(metrics)?;
            }
        }
        Ok(scopes)
    }

    fn metric(&self, py: Python<'py>, bytes: &[u8]) -> Result<Bound<'py, PyAny>, Failed> {
        let (mut name, mut description, mut unit) = ("", "", "");
        let mut data = py.None().into_bound(py);
        for field in fields(bytes) {
            let field = field?;
            match field.number {
                1 => name = field.string()?,
                2 => description = field.string()?,
                3 => unit = field.string()?,
                number => {
                    if let Some(shape) = self.data.iter().find(|shape| shape.0 == number) {
                        data = self.data(py, number, field.bytes()?, &shape.1, &shape.2)?;
                    }
                }
            }
        }
        Ok(self.metric.call1((name, description, unit, data))?)
    }

    fn data(
        &self,
        py: Python<'py>,
        kind: u32,
        bytes: &[u8],
        class: &Bound<'py, PyAny>,
        point: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyAny>, Failed> {
        let points = PyList::empty(py);
        let (mut temporality, mut monotonic) = (0, false);
        for field in fields(bytes) {
            let field = field?;
            match field.number {
                1 => points.append(self.point(py, kind, field.bytes()?, point)?)?,
                2 => temporality = field.varint()?,
                3 => monotonic = field.varint()? != 0,
                _ => {}
            }
        }
        if kind == GAUGE {
            return Ok(class.call1((points,))?);
        }
        let temporality = self.temporality.call1((temporality,))?;
        Ok(if kind == SUM {
            class.call1((points, temporality, monotonic))?
        } else {
            class.call1((points, temporality))?
        })
    }

    fn point(
        &self,
        py: Python<'py>,
        kind: u32,
        bytes: &[u8],
        class: &Bound<'py, PyAny>,
    ) -> Result<Bound<'py, PyAny>, Failed> {
        let tag = match kind {
            HISTOGRAM => 9,
            EXPONENTIAL => 1,
            _ => 7,
        };
        let attributes = values::to_dict(py, bytes, tag)?;
        let point = Point::read(kind, bytes)?;
        let exemplars = PyList::empty(py);
        for exemplar in &point.exemplars {
            exemplars.append(self.exemplar(py, exemplar, attributes.is_empty())?)?;
        }
        let (start, time) = (point.start, point.time);
        let min = point.min.unwrap_or(f64::INFINITY);
        let max = point.max.unwrap_or(f64::NEG_INFINITY);
        let (count, sum) = (point.count, point.sum);
        Ok(match kind {
            GAUGE => class.call1((attributes, py.None(), time, number(py, &point)?, exemplars))?,
            SUM => class.call1((attributes, start, time, number(py, &point)?, exemplars))?,
            HISTOGRAM => {
                let counts = words(point.counts).collect::<Vec<_>>();
                let bounds = words(point.bounds).map(f64::from_bits).collect::<Vec<_>>();
                let (counts, bounds) = (PyTuple::new(py, counts)?, PyTuple::new(py, bounds)?);
                class.call1((
                    attributes, start, time, count, sum, counts, bounds, min, max, exemplars,
                ))?
            }
            _ => {
                let positive = self.buckets(point.positive)?;
                let negative = self.buckets(point.negative)?;
                let (scale, zeros, flags) = (point.scale, point.zeros, point.flags);
                // More arguments than a tuple of Rust can have.
                let named = PyDict::new(py);
                named.set_item("min", min)?;
                named.set_item("max", max)?;
                named.set_item("exemplars", exemplars)?;
                class.call(
                    (attributes, start, time, count, sum, scale, zeros, positive, negative, flags),
                    Some(&named),
                )?
            }
        })
    }

    fn buckets(&self, bytes: &[u8]) -> Result<Bound<'py, PyAny>, Failed> {
        let (mut offset, mut counts) = (0, Vec::new());
        for field in fields(bytes) {
            let field = field?;
            match field.number {
                1 => offset = proto::unzigzag(field.varint()? as u32),
                2 => {
                    let mut reader = Reader::new(field.bytes()?);
                    while let Some(count) = reader.packed_varint()? {
                        counts.push(count);
                    }
                }
                _ => {}
            }
        }
        Ok(self.buckets.call1((offset, counts))?)
    }

    fn exemplar(
        &self,
        py: Python<'py>,
        bytes: &[u8],
        bare: bool,
    ) -> Result<Bound<'py, PyAny>, Failed> {
        let filtered = values::to_dict(py, bytes, 7)?;
        let (mut time, mut value, mut span, mut trace) = (0, py.None(), None, None);
        for field in fields(bytes) {
            let field = field?;
            match field.number {
                2 => time = field.fixed64()?,
                3 => {
                    value = f64::from_bits(field.fixed64()?)
                        .into_pyobject(py)
                        .map_err(PyErr::from)?
                        .unbind()
                        .into_any()
                }
                6 => {
                    value = field
                        .fixed64()?
                        .cast_signed()
                        .into_pyobject(py)
                        .map_err(PyErr::from)?
                        .unbind()
                        .into_any()
                }
                4 => span = Some(id(py, field.bytes()?)?),
                5 => trace = Some(id(py, field.bytes()?)?),
                _ => {}
            }
        }
        let filtered = if bare && filtered.is_empty() { None } else { Some(filtered) };
        Ok(self.exemplar.call1((filtered, value, time, span, trace))?)
    }
}

impl<'a> Point<'a> {
    fn read(kind: u32, bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut point = Point::default();
        for field in fields(bytes) {
            let field = field?;
            match (kind, field.number) {
                (_, 2) => point.start = field.fixed64()?,
                (_, 3) => point.time = field.fixed64()?,
                (GAUGE | SUM, 4 | 6) => {
                    point.number = Some(match field.number {
                        4 => Value::Fixed64(field.fixed64()?),
                        _ => Value::Varint(field.fixed64()?),
                    });
                }
                (GAUGE | SUM, 5) | (HISTOGRAM, 8) | (EXPONENTIAL, 11) => {
                    point.exemplars.push(field.bytes()?);
                }
                (HISTOGRAM | EXPONENTIAL, 4) => point.count = field.fixed64()?,
                (HISTOGRAM | EXPONENTIAL, 5) => point.sum = f64::from_bits(field.fixed64()?),
                (HISTOGRAM, 6) => point.counts = field.bytes()?,
                (HISTOGRAM, 7) => point.bounds = field.bytes()?,
                (HISTOGRAM, 11) | (EXPONENTIAL, 12) => {
                    point.min = Some(f64::from_bits(field.fixed64()?));
                }
                (HISTOGRAM, 12) | (EXPONENTIAL, 13) => {
                    point.max = Some(f64::from_bits(field.fixed64()?));
                }
                (EXPONENTIAL, 6) => point.scale = proto::unzigzag(field.varint()? as u32),
                (EXPONENTIAL, 7) => point.zeros = field.fixed64()?,
                (EXPONENTIAL, 8) => point.positive = field.bytes()?,
                (EXPONENTIAL, 9) => point.negative = field.bytes()?,
                (HISTOGRAM | EXPONENTIAL, 10) => point.flags = field.varint()?,
                _ => {}
            }
        }
        Ok(point)
    }
}

fn number<'py>(py: Python<'py>, point: &Point<'_>) -> PyResult<Bound<'py, PyAny>> {
    Ok(match point.number {
        Some(Value::Fixed64(bits)) => f64::from_bits(bits).into_pyobject(py)?.into_any(),
        Some(Value::Varint(whole)) => whole.cast_signed().into_pyobject(py)?.into_any(),
        _ => py.None().into_bound(py),
    })
}

fn words(packed: &[u8]) -> impl Iterator<Item = u64> + '_ {
    packed
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().expect("a chunk has eight bytes")))
}

fn id<'py>(py: Python<'py>, bytes: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    py.get_type::<pyo3::types::PyInt>().call_method1("from_bytes", (bytes, "big"))
}
