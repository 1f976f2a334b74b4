//! Attribute values: from Python to the wire and back. What a program passes never raises here.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple, PyType};

use super::super::any::Any;
use super::super::attributes::{Attributes, Limits, put_key_value};
use crate::wire::proto::{Reader, Value, put_bytes_field};

/// Nesting that is followed; what lies deeper becomes null.
const MAX_DEPTH: usize = 32;

/// How what lies inside a value is written.
#[derive(Clone, Copy)]
struct Inside {
    /// Characters of text that are kept.
    length: usize,
    depth: usize,
    /// Whether empty keys of mappings are kept: in attributes they are none.
    empty_keys: bool,
}

impl Inside {
    fn deeper(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

/// Call `put` with the value as it goes on the wire, and return what it returns.
///
/// Text, numbers, bytes, booleans and None keep their kind, subclasses included. Sequences and
/// mappings are copied. Integers beyond 64 bits become decimal text, as the specification's mapping
/// to AnyValue says; anything else becomes its `str()`, or null when it has none of its own.
/// Python code runs only for values of such other kinds, and before `put` is called.
#[inline]
pub fn with_value<R>(value: &Bound<'_, PyAny>, length: usize, put: impl FnOnce(Any<'_>) -> R) -> R {
    if let Ok(text) = value.cast::<PyString>() {
        return with_text(text, |text| put(Any::Str(text).cut(length)));
    }
    if let Ok(flag) = value.cast_exact::<PyBool>() {
        return put(Any::Bool(flag.is_true()));
    }
    if value.is_instance_of::<PyInt>() {
        return with_integer(value, put);
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return put(Any::Double(number.value()));
    }
    if value.is_none() {
        return put(Any::Null);
    }
    with_other(value, Inside { length, depth: 0, empty_keys: false }, put)
}

/// The body of a log record, which may be a mapping with empty keys, too.
pub fn with_body<R>(value: &Bound<'_, PyAny>, put: impl FnOnce(Any<'_>) -> R) -> R {
    match is_scalar(value) {
        true => with_value(value, usize::MAX, put),
        false => with_other(value, Inside { length: usize::MAX, depth: 0, empty_keys: true }, put),
    }
}

fn is_scalar(value: &Bound<'_, PyAny>) -> bool {
    value.is_none()
        || value.is_instance_of::<PyString>()
        || value.is_instance_of::<PyInt>()
        || value.is_instance_of::<PyFloat>()
        || value.is_instance_of::<PyBytes>()
}

#[inline]
fn with_integer<R>(value: &Bound<'_, PyAny>, put: impl FnOnce(Any<'_>) -> R) -> R {
    let mut overflow = 0;
    // SAFETY: value is an int, for which the call cannot fail; overflow outlives the call.
    let number = unsafe { ffi::PyLong_AsLongLongAndOverflow(value.as_ptr(), &mut overflow) };
    if overflow == 0 {
        return put(Any::Int(number));
    }
    let decimal = value.py().get_type::<PyInt>().call_method1("__repr__", (value,));
    match decimal.ok().and_then(|text| text.extract::<String>().ok()) {
        Some(text) => put(Any::Str(&text)),
        None => put(Any::Null),
    }
}

/// The text in UTF-8; lone surrogates become question marks.
#[inline]
pub fn with_text<R>(text: &Bound<'_, PyString>, put: impl FnOnce(&str) -> R) -> R {
    let mut size = 0;
    // SAFETY: text is a str; the buffer belongs to it and lives as long as it does.
    let data = unsafe { ffi::PyUnicode_AsUTF8AndSize(text.as_ptr(), &mut size) };
    if data.is_null() {
        return put(&replaced(text));
    }
    // SAFETY: data points to size bytes that CPython guarantees to be UTF-8.
    put(unsafe {
        std::str::from_utf8_unchecked(std::slice::from_raw_parts(data.cast(), size as usize))
    })
}

#[cold]
fn replaced(text: &Bound<'_, PyString>) -> String {
    // Takes the error of the attempt to encode strictly.
    drop(PyErr::take(text.py()));
    let encoded =
        text.py().get_type::<PyString>().call_method1("encode", (text, "utf-8", "replace"));
    encoded
        .and_then(|bytes| bytes.extract::<Vec<u8>>())
        .map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

#[cold]
fn with_other<R>(value: &Bound<'_, PyAny>, inside: Inside, put: impl FnOnce(Any<'_>) -> R) -> R {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return put(Any::Bytes(bytes.as_bytes()).cut(inside.length));
    }
    let mut nested = Vec::new();
    match put_nested(&mut nested, value, inside) {
        Nested::Array => put(Any::Array(&nested)),
        Nested::Map => put(Any::Map(&nested)),
        Nested::No => match text_of(value) {
            Some(text) => put(Any::Str(&text).cut(inside.length)),
            None => put(Any::Null),
        },
    }
}

enum Nested {
    Array,
    Map,
    No,
}

/// Write the fields of an ArrayValue or KeyValueList, if the value is one.
fn put_nested(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, inside: Inside) -> Nested {
    if let Ok(map) = value.cast::<PyDict>() {
        each(map, |key, value| put_entry(out, key, value, inside));
        return Nested::Map;
    }
    let is_list = value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>();
    if is_list || is_abc(value, "Sequence") {
        let Ok(items) = value.try_iter() else { return Nested::Array };
        // A list that grows while it is read ends when the next item cannot be had.
        for item in items.map_while(Result::ok) {
            put_element(out, &item, inside);
        }
        return Nested::Array;
    }
    if is_abc(value, "Mapping") {
        let items = value.call_method0("items").and_then(|items| items.try_iter());
        for item in items.into_iter().flatten().map_while(Result::ok) {
            if let Ok((key, value)) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() {
                put_entry(out, &key, &value, inside);
            }
        }
        return Nested::Map;
    }
    Nested::No
}

/// The value inside another one; deeper than `MAX_DEPTH` it is null.
fn with_inner(value: &Bound<'_, PyAny>, inside: Inside, put: impl FnOnce(Any<'_>)) {
    if is_scalar(value) {
        return with_value(value, inside.length, put);
    }
    if inside.depth >= MAX_DEPTH {
        return put(Any::Null);
    }
    with_other(value, inside.deeper(), put);
}

fn put_element(out: &mut Vec<u8>, value: &Bound<'_, PyAny>, inside: Inside) {
    with_inner(value, inside, |any| {
        let mut body = Vec::with_capacity(any.len());
        any.put(&mut body);
        put_bytes_field(out, 1, &body);
    });
}

fn put_entry(out: &mut Vec<u8>, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>, inside: Inside) {
    let found = match inside.empty_keys {
        true => any_key(key),
        false => key_of(key),
    };
    if let Some(key) = found {
        with_text(&key, |key| {
            with_inner(value, inside, |any| {
                put_key_value(out, 1, key, any);
            });
        });
    }
}

/// Go through a dict, whatever happens to it meanwhile.
#[inline]
pub fn each<'py>(
    map: &Bound<'py, PyDict>,
    mut act: impl FnMut(&Bound<'py, PyAny>, &Bound<'py, PyAny>),
) {
    let py = map.py();
    let mut at = 0;
    let (mut key, mut value) = (std::ptr::null_mut(), std::ptr::null_mut());
    loop {
        // SAFETY: map is a dict; the references are borrowed, and owned before Python code runs.
        let (key, value) = unsafe {
            if ffi::PyDict_Next(map.as_ptr(), &mut at, &mut key, &mut value) == 0 {
                return;
            }
            (Bound::from_borrowed_ptr(py, key), Bound::from_borrowed_ptr(py, value))
        };
        act(&key, &value);
    }
}

/// The key as text; None when there is no text to it.
#[inline]
pub fn key_of<'py>(key: &Bound<'py, PyAny>) -> Option<Bound<'py, PyString>> {
    match key.cast::<PyString>() {
        Ok(text) => (!text.is_empty().unwrap_or(true)).then(|| text.clone()),
        Err(_) => other_key(key),
    }
}

#[cold]
fn other_key<'py>(key: &Bound<'py, PyAny>) -> Option<Bound<'py, PyString>> {
    if !key.is_truthy().unwrap_or(false) {
        return None;
    }
    any_key(key)
}

/// The key as text, be it empty; None when there is no text to it.
fn any_key<'py>(key: &Bound<'py, PyAny>) -> Option<Bound<'py, PyString>> {
    match key.cast::<PyString>() {
        Ok(text) => Some(text.clone()),
        Err(_) => text_of(key).map(|text| PyString::new(key.py(), &text)),
    }
}

/// `__str__` and `__repr__` of `object`.
fn plain_looks(py: Python<'_>) -> PyResult<&'static (Py<PyAny>, Py<PyAny>)> {
    static OBJECT: PyOnceLock<(Py<PyAny>, Py<PyAny>)> = PyOnceLock::new();
    OBJECT.get_or_try_init(py, || {
        let object = py.import("builtins")?.getattr("object")?;
        Ok((object.getattr("__str__")?.unbind(), object.getattr("__repr__")?.unbind()))
    })
}

/// `str()` of a value whose class says how it looks.
fn text_of(value: &Bound<'_, PyAny>) -> Option<String> {
    let py = value.py();
    let (plain_str, plain_repr) = plain_looks(py).ok()?;
    let class = value.get_type();
    let same = |name: &str, plain: &Py<PyAny>| {
        class.getattr(name).is_ok_and(|found| found.is(plain.bind(py)))
    };
    if same("__str__", plain_str) && same("__repr__", plain_repr) {
        return None;
    }
    value.str().ok().map(|text| with_text(&text, str::to_string))
}

fn abc<'py>(py: Python<'py>, name: &str) -> PyResult<&'py Bound<'py, PyType>> {
    static SEQUENCE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    static MAPPING: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let cell = if name == "Sequence" { &SEQUENCE } else { &MAPPING };
    cell.import(py, "collections.abc", name)
}

fn is_abc(value: &Bound<'_, PyAny>, name: &str) -> bool {
    abc(value.py(), name).and_then(|class| value.is_instance(class)).unwrap_or(false)
}

/// Look up what is used of Python.
pub fn prepare(py: Python<'_>) -> PyResult<()> {
    plain_looks(py)?;
    abc(py, "Sequence")?;
    abc(py, "Mapping").map(drop)
}

/// One attribute of what a program passed: key and value, or None where no key can be had.
pub type Given<'a> = Option<(&'a str, Any<'a>)>;

/// Hand one attribute to `act`; no Python code runs while `act` does.
#[inline]
pub fn visit_one(
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    length: usize,
    act: impl FnOnce(Given<'_>),
) {
    match key.cast::<PyString>() {
        Ok(key) => with_text(key, |key| {
            if key.is_empty() {
                return act(None);
            }
            with_value(value, length, |any| act(Some((key, any))));
        }),
        Err(_) => act(None),
    }
}

/// Hand the attributes of a mapping to `act` in its order; keys that are no text become text.
pub fn visit(mapping: &Bound<'_, PyAny>, length: usize, act: &mut impl FnMut(Given<'_>)) {
    if let Ok(map) = mapping.cast::<PyDict>() {
        return each(map, |key, value| visit_converted(key, value, length, act));
    }
    if mapping.is_none() {
        return;
    }
    // Most mappings that are no dicts stand around one.
    let inner = mapping.getattr_opt(pyo3::intern!(mapping.py(), "_dict")).ok().flatten();
    if let Some(Ok(map)) = inner.as_ref().map(|inner| inner.cast::<PyDict>()) {
        return each(map, |key, value| visit_converted(key, value, length, act));
    }
    let items = mapping.call_method0("items").and_then(|items| items.try_iter());
    for item in items.into_iter().flatten().map_while(Result::ok) {
        if let Ok((key, value)) = item.extract::<(Bound<'_, PyAny>, Bound<'_, PyAny>)>() {
            visit_converted(&key, &value, length, act);
        }
    }
}

#[inline]
fn visit_converted(
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    length: usize,
    act: &mut impl FnMut(Given<'_>),
) {
    if key.is_instance_of::<PyString>() {
        return visit_one(key, value, length, act);
    }
    match other_key(key) {
        Some(key) => visit_one(key.as_any(), value, length, act),
        None => act(None),
    }
}

/// Set what was given.
#[inline]
pub fn set(attributes: &mut Attributes, number: u32, limits: Limits, given: Given<'_>) {
    match given {
        Some((key, any)) => attributes.set(number, limits, key, any),
        None => attributes.drop_more(1),
    }
}

/// Set the attributes of a mapping, in its order; keys that are no text become text.
pub fn update(
    attributes: &mut Attributes,
    number: u32,
    limits: Limits,
    mapping: &Bound<'_, PyAny>,
) {
    visit(mapping, limits.length, &mut |given| set(attributes, number, limits, given));
}

/// The Python value of an AnyValue's contents: arrays are tuples, maps are dicts.
pub fn to_python<'py>(py: Python<'py>, any: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let mut found = py.None().into_bound(py);
    let mut reader = Reader::new(any);
    while let Ok(Some(field)) = reader.field() {
        found = match (field.number, field.value) {
            (1, Value::Bytes(text)) => PyString::new(py, &String::from_utf8_lossy(text)).into_any(),
            (2, Value::Varint(flag)) => PyBool::new(py, flag != 0).to_owned().into_any(),
            (3, Value::Varint(number)) => number.cast_signed().into_pyobject(py)?.into_any(),
            (4, Value::Fixed64(bits)) => PyFloat::new(py, f64::from_bits(bits)).into_any(),
            (5, Value::Bytes(array)) => {
                let mut items = Vec::new();
                let mut reader = Reader::new(array);
                while let Ok(Some(item)) = reader.field() {
                    if let Value::Bytes(item) = item.value {
                        items.push(to_python(py, item)?);
                    }
                }
                PyTuple::new(py, items)?.into_any()
            }
            (6, Value::Bytes(map)) => to_dict(py, map, 1)?.into_any(),
            (7, Value::Bytes(bytes)) => PyBytes::new(py, bytes).into_any(),
            _ => continue,
        };
    }
    Ok(found)
}

/// A dict of the KeyValues that are fields `number` of these bytes.
pub fn to_dict<'py>(py: Python<'py>, bytes: &[u8], number: u32) -> PyResult<Bound<'py, PyDict>> {
    let found = PyDict::new(py);
    let mut reader = Reader::new(bytes);
    while let Ok(Some(field)) = reader.field() {
        let Value::Bytes(entry) = field.value else { continue };
        if field.number != number {
            continue;
        }
        let (mut key, mut any): (&[u8], &[u8]) = (b"", b"");
        let mut entry = Reader::new(entry);
        while let Ok(Some(part)) = entry.field() {
            match (part.number, part.value) {
                (1, Value::Bytes(text)) => key = text,
                (2, Value::Bytes(value)) => any = value,
                _ => {}
            }
        }
        found.set_item(PyString::new(py, &String::from_utf8_lossy(key)), to_python(py, any)?)?;
    }
    Ok(found)
}
