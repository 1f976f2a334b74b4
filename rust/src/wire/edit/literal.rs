//! Values that edits write: as an AnyValue, or as a field of the message.

use std::borrow::Cow;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;

use super::super::proto::{
    Fault, put_bytes_field, put_fixed32_field, put_fixed64_field, put_varint_field, zigzag,
};
use super::super::schema::Kind;
use super::super::value::Any;

#[derive(Clone, Debug, PartialEq)]
pub enum Literal<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Str(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    /// The bytes of an AnyValue.
    Any(Cow<'a, [u8]>),
}

impl<'a> Literal<'a> {
    /// The value of a row, null as None; `raw` when bytes are an AnyValue's. Err for a column
    /// of a type that no field has.
    pub fn at(column: &'a ArrayRef, row: usize, raw: bool) -> Result<Option<Self>, String> {
        if column.is_null(row) {
            return Ok(None);
        }
        macro_rules! int {
            ($type:ty) => {
                Literal::Int(column.as_primitive::<$type>().value(row) as i64)
            };
        }
        let bytes = |bytes: &'a [u8]| match raw {
            true => Literal::Any(bytes.into()),
            false => Literal::Bytes(bytes.into()),
        };
        Ok(Some(match column.data_type() {
            DataType::Boolean => Literal::Bool(column.as_boolean().value(row)),
            DataType::Int8 => int!(Int8Type),
            DataType::Int16 => int!(Int16Type),
            DataType::Int32 => int!(Int32Type),
            DataType::Int64 => int!(Int64Type),
            DataType::UInt8 => int!(UInt8Type),
            DataType::UInt16 => int!(UInt16Type),
            DataType::UInt32 => int!(UInt32Type),
            DataType::UInt64 => int!(UInt64Type),
            DataType::Float32 => {
                Literal::Double(f64::from(column.as_primitive::<Float32Type>().value(row)))
            }
            DataType::Float64 => Literal::Double(column.as_primitive::<Float64Type>().value(row)),
            DataType::Utf8View => Literal::Str(column.as_string_view().value(row).into()),
            DataType::Utf8 => Literal::Str(column.as_string::<i32>().value(row).into()),
            DataType::LargeUtf8 => Literal::Str(column.as_string::<i64>().value(row).into()),
            DataType::BinaryView => bytes(column.as_binary_view().value(row)),
            DataType::Binary => bytes(column.as_binary::<i32>().value(row)),
            DataType::LargeBinary => bytes(column.as_binary::<i64>().value(row)),
            other => return Err(format!("a column of {other} cannot be written")),
        }))
    }

    /// The value as the bytes of an AnyValue.
    pub fn any(&self) -> Cow<'_, [u8]> {
        let mut out = Vec::new();
        match self {
            Literal::Any(bytes) => return Cow::Borrowed(bytes),
            Literal::Str(text) => put_bytes_field(&mut out, 1, text.as_bytes()),
            Literal::Bool(flag) => put_varint_field(&mut out, 2, u64::from(*flag)),
            Literal::Int(number) => put_varint_field(&mut out, 3, *number as u64),
            Literal::Double(number) => put_fixed64_field(&mut out, 4, number.to_bits()),
            Literal::Bytes(bytes) => put_bytes_field(&mut out, 7, bytes),
        }
        Cow::Owned(out)
    }

    /// Write the value as a field of some kind; false when it does not fit.
    pub fn put(&self, kind: Kind, number: u32, out: &mut Vec<u8>) -> Result<bool, Fault> {
        if let (Literal::Any(bytes), false) = (self, matches!(kind, Kind::Message(_))) {
            let plain = match Any::read(bytes)? {
                Any::Str(text) => match std::str::from_utf8(text) {
                    Ok(text) => Literal::Str(text.into()),
                    Err(_) => return Ok(false),
                },
                Any::Bool(flag) => Literal::Bool(flag),
                Any::Int(number) => Literal::Int(number),
                Any::Double(number) => Literal::Double(number),
                Any::Bytes(bytes) => Literal::Bytes(bytes.into()),
                _ => return Ok(false),
            };
            return plain.put(kind, number, out);
        }
        match (kind, self) {
            (Kind::Message(_), value) => put_bytes_field(out, number, &value.any()),
            (Kind::String, Literal::Str(text)) => put_bytes_field(out, number, text.as_bytes()),
            (Kind::Bytes | Kind::Id, Literal::Bytes(bytes)) => put_bytes_field(out, number, bytes),
            (Kind::Bool, Literal::Bool(flag)) => put_varint_field(out, number, u64::from(*flag)),
            (Kind::Double, Literal::Double(value)) => {
                put_fixed64_field(out, number, value.to_bits());
            }
            (Kind::Double, Literal::Int(value)) => {
                put_fixed64_field(out, number, (*value as f64).to_bits());
            }
            (Kind::Fixed64 | Kind::Sfixed64, Literal::Int(value)) => {
                put_fixed64_field(out, number, *value as u64);
            }
            (Kind::Int64 | Kind::Uint64, Literal::Int(value)) => {
                put_varint_field(out, number, *value as u64);
            }
            (Kind::Enum | Kind::Int32 | Kind::Sint32, Literal::Int(value)) => {
                let Ok(value) = i32::try_from(*value) else { return Ok(false) };
                let zigzagged = u64::from(zigzag(value));
                let sint = matches!(kind, Kind::Sint32);
                let bits = if sint { zigzagged } else { i64::from(value) as u64 };
                put_varint_field(out, number, bits);
            }
            (Kind::Uint32 | Kind::Fixed32, Literal::Int(value)) => {
                let Ok(value) = u32::try_from(*value) else { return Ok(false) };
                if matches!(kind, Kind::Fixed32) {
                    put_fixed32_field(out, number, value);
                } else {
                    put_varint_field(out, number, u64::from(value));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
