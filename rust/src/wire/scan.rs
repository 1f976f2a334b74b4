use super::{Signal, WireError};

/// Validate the structure down to each item's fields and count the items.
pub fn scan(signal: Signal, data: &[u8]) -> Result<usize, WireError> {
    let path: &[u32] = match signal {
        Signal::Traces | Signal::Logs => &[1, 2, 2],
        // ResourceMetrics.scope_metrics.metrics; points are counted by their own reader.
        Signal::Metrics => &[1, 2, 2],
        Signal::Profiles => return Ok(usize::from(!data.is_empty())),
    };
    count(data, 0, path)
}

fn count(data: &[u8], base: usize, path: &[u32]) -> Result<usize, WireError> {
    let mut at = 0;
    let mut items = 0;
    while at < data.len() {
        let start = at;
        let key = varint(data, &mut at, base)?;
        match key & 7 {
            0 => {
                varint(data, &mut at, base)?;
            }
            1 => at += 8,
            5 => at += 4,
            2 => {
                let length = varint(data, &mut at, base)? as usize;
                let end = at.checked_add(length).filter(|end| *end <= data.len());
                let Some(end) = end else {
                    return Err(error(base + start, "length runs past the end"));
                };
                if path.first().is_some_and(|field| u64::from(*field) == key >> 3) {
                    items += if path.len() == 1 {
                        1
                    } else {
                        count(&data[at..end], base + at, &path[1..])?
                    };
                }
                at = end;
            }
            _ => return Err(error(base + start, "unknown wire type")),
        }
        if at > data.len() {
            return Err(error(base + start, "field runs past the end"));
        }
    }
    Ok(items)
}

fn varint(data: &[u8], at: &mut usize, base: usize) -> Result<u64, WireError> {
    let start = *at;
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let Some(byte) = data.get(*at) else {
            return Err(error(base + start, "varint runs past the end"));
        };
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(error(base + start, "varint is longer than ten bytes"))
}

fn error(offset: usize, message: &str) -> WireError {
    WireError { offset, message: message.into() }
}
