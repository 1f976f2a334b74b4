//! Columns under construction. Text and bytes are views into the batch's own buffer.

use std::sync::Arc;

use arrow_array::builder::make_view;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, UInt8Type, UInt32Type, UInt64Type};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, BinaryViewArray, BooleanArray, LargeListArray, PrimitiveArray,
    StringViewArray, StructArray,
};
use arrow_buffer::{BooleanBufferBuilder, Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, FieldRef};
use bytes::Bytes;

/// Views of this many bytes or fewer hold them.
const INLINE: usize = 12;
/// Text that is not in the batch is kept in blocks of at most this many bytes.
const BLOCK: usize = 1 << 30;

pub struct Fixed<T: ArrowPrimitiveType> {
    values: Vec<T::Native>,
    nulls: NullBufferBuilder,
}

impl<T: ArrowPrimitiveType> Fixed<T> {
    fn new(rows: usize) -> Self {
        Self { values: Vec::with_capacity(rows), nulls: NullBufferBuilder::new(rows) }
    }

    #[inline]
    pub fn push(&mut self, value: Option<T::Native>, times: usize) {
        if let (Some(value), 1) = (value, times) {
            self.values.push(value);
            self.nulls.append_non_null();
            return;
        }
        match value {
            Some(value) => {
                self.values.resize(self.values.len() + times, value);
                self.nulls.append_n_non_nulls(times);
            }
            None => {
                self.values.resize(self.values.len() + times, T::Native::default());
                self.nulls.append_n_nulls(times);
            }
        }
    }

    fn finish(mut self) -> ArrayRef {
        let values = ScalarBuffer::from(self.values);
        Arc::new(PrimitiveArray::<T>::new(values, self.nulls.finish()))
    }
}

pub struct Flags {
    values: BooleanBufferBuilder,
    nulls: NullBufferBuilder,
}

impl Flags {
    pub fn push(&mut self, value: Option<bool>, times: usize) {
        self.values.append_n(times, value.unwrap_or(false));
        match value {
            Some(_) => self.nulls.append_n_non_nulls(times),
            None => self.nulls.append_n_nulls(times),
        }
    }
}

/// Text or bytes. Whoever pushes to a text column has checked that it is UTF-8.
pub struct Views<'a> {
    base: &'a [u8],
    views: Vec<u128>,
    nulls: NullBufferBuilder,
    blocks: Vec<Vec<u8>>,
}

impl<'a> Views<'a> {
    fn new(base: &'a [u8], rows: usize) -> Self {
        let views = Vec::with_capacity(rows);
        Self { base, views, nulls: NullBufferBuilder::new(rows), blocks: Vec::new() }
    }

    #[inline]
    pub fn push(&mut self, value: Option<&[u8]>, times: usize) {
        let view = match value {
            Some(bytes) => self.view(bytes),
            None => 0,
        };
        if times == 1 {
            self.views.push(view);
            self.nulls.append(value.is_some());
            return;
        }
        self.views.resize(self.views.len() + times, view);
        match value {
            Some(_) => self.nulls.append_n_non_nulls(times),
            None => self.nulls.append_n_nulls(times),
        }
    }

    #[inline]
    fn view(&mut self, bytes: &[u8]) -> u128 {
        if bytes.len() <= INLINE {
            return make_view(bytes, 0, 0);
        }
        let offset = (bytes.as_ptr() as usize).wrapping_sub(self.base.as_ptr() as usize);
        // Live allocations do not overlap: an address in the batch is a place in the batch.
        if offset < self.base.len() && bytes.len() <= self.base.len() - offset {
            return make_view(bytes, 0, offset as u32);
        }
        self.copy(bytes)
    }

    fn copy(&mut self, bytes: &[u8]) -> u128 {
        if bytes.len() > u32::MAX as usize {
            return 0; // a view cannot say so much; only text of a batch of gigabytes gets there
        }
        if self.blocks.last().is_none_or(|block| block.len() + bytes.len() > BLOCK) {
            self.blocks.push(Vec::new());
        }
        let number = self.blocks.len() as u32;
        match self.blocks.last_mut() {
            Some(block) => {
                let offset = block.len() as u32;
                block.extend_from_slice(bytes);
                make_view(bytes, number, offset)
            }
            None => 0,
        }
    }

    fn parts(mut self, data: &Bytes) -> (ScalarBuffer<u128>, Arc<[Buffer]>, NullBufferBuilder) {
        let mut buffers = vec![Buffer::from(data.clone())];
        buffers.extend(std::mem::take(&mut self.blocks).into_iter().map(Buffer::from_vec));
        (ScalarBuffer::from(self.views), buffers.into(), self.nulls)
    }

    fn finish_text(self, data: &Bytes) -> ArrayRef {
        let (views, buffers, mut nulls) = self.parts(data);
        // SAFETY: make_view made every view, of a slice that is UTF-8 (the callers' contract) and
        // that lies at the view's offset in the batch (buffer 0) or in the block it was copied to
        // (buffer n, pushed in that order); null views are empty.
        Arc::new(unsafe { StringViewArray::new_unchecked(views, buffers, nulls.finish()) })
    }

    fn finish_binary(self, data: &Bytes) -> ArrayRef {
        let (views, buffers, mut nulls) = self.parts(data);
        // SAFETY: as in finish_text, without the need for UTF-8.
        Arc::new(unsafe { BinaryViewArray::new_unchecked(views, buffers, nulls.finish()) })
    }
}

pub struct List<V> {
    offsets: Vec<i64>,
    pub values: V,
    nulls: NullBufferBuilder,
}

impl<V> List<V> {
    fn new(values: V) -> Self {
        Self { offsets: vec![0], values, nulls: NullBufferBuilder::new(0) }
    }

    fn finish(mut self, item: FieldRef, values: impl FnOnce(V) -> ArrayRef) -> ArrayRef {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        Arc::new(LargeListArray::new(item, offsets, values(self.values), self.nulls.finish()))
    }

    fn close(&mut self, length: usize, present: bool) {
        self.offsets.push(length as i64);
        self.nulls.append(present);
    }
}

/// The numbers of list columns, as they stand on the wire.
impl List<Vec<u64>> {
    pub fn push(&mut self, numbers: Option<&[u64]>, times: usize) {
        for _ in 0..times {
            self.values.extend_from_slice(numbers.unwrap_or(&[]));
            self.close(self.values.len(), numbers.is_some());
        }
    }
}

/// Entries of maps.
pub struct Triples<'a> {
    keys: Views<'a>,
    values: Views<'a>,
    kinds: Fixed<UInt8Type>,
}

impl Triples<'_> {
    pub fn push(&mut self, key: &str, value: &str, kind: u8) {
        self.keys.push(Some(key.as_bytes()), 1);
        self.values.push(Some(value.as_bytes()), 1);
        self.kinds.push(Some(kind), 1);
    }
}

impl List<Triples<'_>> {
    /// End a row whose entries have been pushed; further rows repeat it.
    pub fn end(&mut self, present: bool, times: usize) {
        let start = self.offsets.last().map_or(0, |offset| *offset as usize);
        let end = self.values.kinds.values.len();
        self.close(end, present);
        for _ in 1..times {
            for row in start..end {
                let triples = &mut self.values;
                triples.keys.views.push(triples.keys.views[row]);
                triples.keys.nulls.append_non_null();
                triples.values.views.push(triples.values.views[row]);
                triples.values.nulls.append_non_null();
                triples.kinds.push(Some(triples.kinds.values[row]), 1);
            }
            self.close(self.values.kinds.values.len(), present);
        }
    }
}

pub enum Column<'a> {
    Flags(Flags),
    U8(Fixed<UInt8Type>),
    I32(Fixed<Int32Type>),
    U32(Fixed<UInt32Type>),
    I64(Fixed<Int64Type>),
    U64(Fixed<UInt64Type>),
    F64(Fixed<Float64Type>),
    Text(Views<'a>),
    Binary(Views<'a>),
    Numbers(List<Vec<u64>>),
    Map(Box<List<Triples<'a>>>),
}

impl<'a> Column<'a> {
    /// An empty column of a type that a plan names; `base` is the batch, `rows` how many values
    /// are expected.
    pub fn new(data_type: &DataType, base: &'a [u8], rows: usize) -> Self {
        match data_type {
            DataType::Boolean => Column::Flags(Flags {
                values: BooleanBufferBuilder::new(0),
                nulls: NullBufferBuilder::new(0),
            }),
            DataType::UInt8 => Column::U8(Fixed::new(rows)),
            DataType::Int32 => Column::I32(Fixed::new(rows)),
            DataType::UInt32 => Column::U32(Fixed::new(rows)),
            DataType::Int64 => Column::I64(Fixed::new(rows)),
            DataType::UInt64 => Column::U64(Fixed::new(rows)),
            DataType::Float64 => Column::F64(Fixed::new(rows)),
            DataType::Utf8View => Column::Text(Views::new(base, rows)),
            DataType::LargeList(item) if matches!(item.data_type(), DataType::Struct(_)) => {
                Column::Map(Box::new(List::new(Triples {
                    keys: Views::new(base, rows),
                    values: Views::new(base, rows),
                    kinds: Fixed::new(rows),
                })))
            }
            DataType::LargeList(_) => Column::Numbers(List::new(Vec::new())),
            _ => Column::Binary(Views::new(base, rows)),
        }
    }

    pub fn push_null(&mut self, times: usize) {
        match self {
            Column::Flags(column) => column.push(None, times),
            Column::U8(column) => column.push(None, times),
            Column::I32(column) => column.push(None, times),
            Column::U32(column) => column.push(None, times),
            Column::I64(column) => column.push(None, times),
            Column::U64(column) => column.push(None, times),
            Column::F64(column) => column.push(None, times),
            Column::Text(column) | Column::Binary(column) => column.push(None, times),
            Column::Numbers(column) => column.push(None, times),
            Column::Map(column) => column.end(false, times),
        }
    }

    pub fn finish(self, data: &Bytes, field: &Field) -> ArrayRef {
        match self {
            Column::Flags(mut column) => {
                Arc::new(BooleanArray::new(column.values.finish(), column.nulls.finish()))
            }
            Column::U8(column) => column.finish(),
            Column::I32(column) => column.finish(),
            Column::U32(column) => column.finish(),
            Column::I64(column) => column.finish(),
            Column::U64(column) => column.finish(),
            Column::F64(column) => column.finish(),
            Column::Text(column) => column.finish_text(data),
            Column::Binary(column) => column.finish_binary(data),
            Column::Numbers(column) => {
                let item = item_of(field);
                let double = *item.data_type() == DataType::Float64;
                column.finish(item, |values| {
                    let values = Buffer::from_vec(values);
                    let length = values.len() / 8;
                    if double {
                        let values = ScalarBuffer::new(values, 0, length);
                        Arc::new(PrimitiveArray::<Float64Type>::new(values, None))
                    } else {
                        let values = ScalarBuffer::new(values, 0, length);
                        Arc::new(PrimitiveArray::<UInt64Type>::new(values, None))
                    }
                })
            }
            Column::Map(column) => column.finish(item_of(field), |triples| {
                let arrays = vec![
                    triples.keys.finish_text(data),
                    triples.values.finish_text(data),
                    triples.kinds.finish(),
                ];
                Arc::new(StructArray::new(super::plan::entry(), arrays, None))
            }),
        }
    }
}

fn item_of(field: &Field) -> FieldRef {
    match field.data_type() {
        DataType::LargeList(item) => item.clone(),
        other => Arc::new(Field::new("item", other.clone(), true)),
    }
}
