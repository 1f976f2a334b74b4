//! Metrics that are Python objects of the SDK's shape, whoever made them, as an export request.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString};

use super::super::encode::put_double;
use crate::recorder::attributes::{Attributes, Limits};
use crate::recorder::py::values;
use crate::wire::proto::{self, put_bytes_field, put_fixed64_field, put_varint_field};
use crate::wire::py::PyBatch;
use crate::wire::{Batch, Context, Signal};

/// The export request of a `MetricsData`, with the points of all its metrics.
#[pyfunction]
pub fn encode_metrics(data: &Bound<'_, PyAny>) -> PyResult<PyBatch> {
    let mut writer = Writer::default();
    for resource in data.getattr("resource_metrics")?.try_iter()? {
        writer.resource(&resource?)?;
    }
    let (data, items) = (writer.out.into(), writer.items);
    Ok(PyBatch(Batch { signal: Signal::Metrics, data, items, context: Context::empty() }))
}

#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    items: usize,
}

/// Where a kind of point has what it shares with others.
struct Shape {
    data: u32,
    attributes: u32,
    exemplars: u32,
}

impl Shape {
    fn of(class: &str) -> Option<Self> {
        let (data, attributes, exemplars) = match class {
            "Gauge" => (5, 7, 5),
            "Sum" => (7, 7, 5),
            "Histogram" => (9, 9, 8),
            "ExponentialHistogram" => (10, 1, 11),
            _ => return None,
        };
        Some(Self { data, attributes, exemplars })
    }
}

impl Writer {
    fn resource(&mut self, given: &Bound<'_, PyAny>) -> PyResult<()> {
        let message = proto::open(&mut self.out, 1, 1 << 14);
        let resource = given.getattr("resource")?;
        let field = proto::open(&mut self.out, 1, 1 << 8);
        self.attributes(1, &resource.getattr("attributes")?);
        proto::close(&mut self.out, field);
        for scope in given.getattr("scope_metrics")?.try_iter()? {
            self.scope(&scope?)?;
        }
        self.text(3, &resource.getattr("schema_url")?);
        proto::close(&mut self.out, message);
        Ok(())
    }

    fn scope(&mut self, given: &Bound<'_, PyAny>) -> PyResult<()> {
        let message = proto::open(&mut self.out, 2, 1 << 14);
        let scope = given.getattr("scope")?;
        let field = proto::open(&mut self.out, 1, 1 << 7);
        if !scope.is_none() {
            self.text(1, &scope.getattr("name")?);
            self.text(2, &scope.getattr("version")?);
            self.attributes(3, &scope.getattr("attributes")?);
        }
        proto::close(&mut self.out, field);
        for metric in given.getattr("metrics")?.try_iter()? {
            self.metric(&metric?)?;
        }
        self.text(3, &given.getattr("schema_url")?);
        proto::close(&mut self.out, message);
        Ok(())
    }

    fn metric(&mut self, given: &Bound<'_, PyAny>) -> PyResult<()> {
        let data = given.getattr("data")?;
        let class = data.get_type().name()?;
        let Some(shape) = Shape::of(&class.to_cow()?) else {
            return Err(PyTypeError::new_err(format!("{class} is no kind of metric")));
        };
        let message = proto::open(&mut self.out, 2, 1 << 14);
        for (number, name) in [(1, "name"), (2, "description"), (3, "unit")] {
            self.text(number, &given.getattr(name)?);
        }
        let field = proto::open(&mut self.out, shape.data, 1 << 14);
        for point in data.getattr("data_points")?.try_iter()? {
            self.point(&shape, &point?)?;
            self.items += 1;
        }
        if shape.data != 5 {
            let temporality = data.getattr("aggregation_temporality")?.extract()?;
            put_varint_field(&mut self.out, 2, temporality);
        }
        if shape.data == 7 && data.getattr("is_monotonic")?.is_truthy()? {
            put_varint_field(&mut self.out, 3, 1);
        }
        proto::close(&mut self.out, field);
        proto::close(&mut self.out, message);
        Ok(())
    }

    fn point(&mut self, shape: &Shape, given: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = given.py();
        let message = proto::open(&mut self.out, 1, 100);
        self.attributes(shape.attributes, &given.getattr(intern!(py, "attributes"))?);
        let start: Option<u64> = given.getattr(intern!(py, "start_time_unix_nano"))?.extract()?;
        if let Some(start) = start.filter(|start| *start != 0) {
            put_fixed64_field(&mut self.out, 2, start);
        }
        put_fixed64_field(&mut self.out, 3, given.getattr("time_unix_nano")?.extract()?);
        match shape.data {
            9 => self.explicit(given)?,
            10 => self.exponential(given)?,
            _ => self.number(4, 6, &given.getattr(intern!(py, "value"))?)?,
        }
        for exemplar in given.getattr(intern!(py, "exemplars"))?.try_iter()? {
            self.exemplar(shape.exemplars, &exemplar?)?;
        }
        proto::close(&mut self.out, message);
        Ok(())
    }

    fn explicit(&mut self, given: &Bound<'_, PyAny>) -> PyResult<()> {
        self.totals(given)?;
        let counts: Vec<u64> = given.getattr("bucket_counts")?.extract()?;
        let bounds: Vec<f64> = given.getattr("explicit_bounds")?.extract()?;
        let counts: Vec<u8> = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        let bounds: Vec<u8> = bounds.iter().flat_map(|bound| bound.to_le_bytes()).collect();
        put_bytes_field(&mut self.out, 6, &counts);
        if !bounds.is_empty() {
            put_bytes_field(&mut self.out, 7, &bounds);
        }
        self.extremes(11, given)
    }

    fn exponential(&mut self, given: &Bound<'_, PyAny>) -> PyResult<()> {
        self.totals(given)?;
        let scale: i32 = given.getattr("scale")?.extract()?;
        put_varint_field(&mut self.out, 6, proto::zigzag(scale).into());
        put_fixed64_field(&mut self.out, 7, given.getattr("zero_count")?.extract()?);
        for (number, name) in [(8, "positive"), (9, "negative")] {
            let buckets = given.getattr(name)?;
            let counts: Vec<u64> = buckets.getattr("bucket_counts")?.extract()?;
            if counts.iter().all(|count| *count == 0) {
                continue;
            }
            let message = proto::open(&mut self.out, number, counts.len() + 4);
            let offset: i32 = buckets.getattr("offset")?.extract()?;
            put_varint_field(&mut self.out, 1, proto::zigzag(offset).into());
            let field = proto::open(&mut self.out, 2, counts.len());
            counts.iter().for_each(|count| proto::put_varint(&mut self.out, *count));
            proto::close(&mut self.out, field);
            proto::close(&mut self.out, message);
        }
        self.extremes(12, given)
    }

    fn totals(&mut self, given: &Bound<'_, PyAny>) -> PyResult<()> {
        put_fixed64_field(&mut self.out, 4, given.getattr("count")?.extract()?);
        put_double(&mut self.out, 5, given.getattr("sum")?.extract()?);
        Ok(())
    }

    /// The least and the greatest, where there are any.
    fn extremes(&mut self, number: u32, given: &Bound<'_, PyAny>) -> PyResult<()> {
        for (number, name) in [(number, "min"), (number + 1, "max")] {
            let value: Option<f64> = given.getattr(name)?.extract()?;
            if let Some(value) = value.filter(|value| value.is_finite()) {
                put_double(&mut self.out, number, value);
            }
        }
        Ok(())
    }

    fn exemplar(&mut self, number: u32, given: &Bound<'_, PyAny>) -> PyResult<()> {
        let message = proto::open(&mut self.out, number, 60);
        put_fixed64_field(&mut self.out, 2, given.getattr("time_unix_nano")?.extract()?);
        self.number(3, 6, &given.getattr("value")?)?;
        let span: Option<u64> = given.getattr("span_id")?.extract()?;
        let trace: Option<u128> = given.getattr("trace_id")?.extract()?;
        if let (Some(span), Some(trace)) = (span, trace) {
            put_bytes_field(&mut self.out, 4, &span.to_be_bytes());
            put_bytes_field(&mut self.out, 5, &trace.to_be_bytes());
        }
        self.attributes(7, &given.getattr("filtered_attributes")?);
        proto::close(&mut self.out, message);
        Ok(())
    }

    /// A number as a double, or whole where it is an int of 64 bits.
    fn number(&mut self, double: u32, whole: u32, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if value.is_instance_of::<PyInt>()
            && let Ok(number) = value.extract::<i64>()
        {
            put_fixed64_field(&mut self.out, whole, number.cast_unsigned());
        } else {
            put_double(&mut self.out, double, value.extract()?);
        }
        Ok(())
    }

    fn text(&mut self, number: u32, value: &Bound<'_, PyAny>) {
        if let Ok(text) = value.cast::<PyString>() {
            values::with_text(text, |text| {
                if !text.is_empty() {
                    put_bytes_field(&mut self.out, number, text.as_bytes());
                }
            });
        }
    }

    fn attributes(&mut self, number: u32, mapping: &Bound<'_, PyAny>) {
        let mut attributes = Attributes::default();
        values::update(&mut attributes, number, Limits::NONE, mapping);
        self.out.extend_from_slice(attributes.bytes());
    }
}
