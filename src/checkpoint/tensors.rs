//! Tensors to and from safetensors: in the house f32 only, in a given order, every number of the header checked before it
//! is used. Of others come halves and doubles, too.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use safetensors::tensor::{Metadata, TensorView};
use safetensors::{Dtype, SafeTensorError};

use super::Tensor;
use crate::error::{Error, Result};

/// Bytes of JSON that a header may have; a thousand tensors take a tenth of it.
const HEADER_CAP: usize = 1 << 20;
/// Bytes of the little-endian number in front of the header: its length.
const LENGTH: usize = 8;
/// The header's free-text entry with the tensors' order, as a JSON list: the format itself sorts them by name.
const ORDER: &str = "order";
/// The one name that the format keeps for itself.
const RESERVED: &str = "__metadata__";

/// The bytes of a safetensors file; a name given twice, or a shape that its values contradict, is [`Error::Bug`].
pub(crate) fn encode(tensors: &[(String, Tensor)]) -> Result<Vec<u8>> {
    let bug = |e: SafeTensorError| Error::Bug(format!("writing tensors: {e}"));
    let names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
    if names.contains(&RESERVED) || names.iter().collect::<HashSet<_>>().len() != names.len() {
        return Err(Error::Bug(format!("tensor names must differ from each other and from `{RESERVED}`: {names:?}")));
    }
    let mut contents = Vec::new();
    for (name, Tensor { shape, values }) in tensors {
        // `TensorView` multiplies without looking, so it only gets to see products that exist.
        if shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n)) != Some(values.len()) {
            return Err(Error::Bug(format!("tensor `{name}` has shape {shape:?} and {} values", values.len())));
        }
        contents.push(little_endian(values));
    }
    check_room(contents.iter().map(|bytes| bytes.len()).sum())?;
    let views = tensors.iter().zip(&contents).map(|((name, tensor), bytes)| {
        TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).map(|view| (name.as_str(), view)).map_err(bug)
    });
    let views: Vec<_> = views.collect::<Result<_>>()?;
    let order = serde_json::to_string(&names).map_err(|e| Error::Bug(e.to_string()))?;
    let file = safetensors::serialize(views, Some(HashMap::from([(ORDER.to_string(), order)]))).map_err(bug)?;
    match header(&file) {
        Ok(_) => Ok(file),
        Err(why) => Err(Error::Bug(format!("writing tensors: {why}"))),
    }
}

/// Numbers as the bytes of a file: those of the memory, where these lie the same way.
fn little_endian(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }
}

/// Checks that so many bytes can be had: where they cannot, the attempt would end the process.
pub(crate) fn check_room(bytes: usize) -> Result<()> {
    let mut room = Vec::<u8>::new();
    room.try_reserve_exact(bytes.saturating_add(HEADER_CAP)).map_err(|_| {
        let size = crate::report::human::bytes(bytes as u64);
        Error::Device(format!(
            "there is no memory left to save the model, which takes {size} more: train a smaller one, or raise the limit"
        ))
    })
}

/// The tensors of a safetensors file, in the order in which they were given to [`encode`], or what is wrong with it.
///
/// A file that some other program wrote has no order; its tensors come as they lie in it.
pub(crate) fn decode(file: &[u8]) -> std::result::Result<Vec<(String, Tensor)>, String> {
    read(file, &[Dtype::F32], |_| true)
}

/// The same of a file that others wrote: numbers of half and of double precision are made those of single precision, and
/// what is not `wanted` by its name may be of any type, and is left out.
pub(crate) fn decode_foreign(
    file: &[u8],
    wanted: impl Fn(&str) -> bool,
) -> std::result::Result<Vec<(String, Tensor)>, String> {
    read(file, &[Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::F64], wanted)
}

fn read(
    file: &[u8],
    types: &[Dtype],
    wanted: impl Fn(&str) -> bool,
) -> std::result::Result<Vec<(String, Tensor)>, String> {
    let (header, data) = header(file)?;
    let metadata: Metadata =
        serde_json::from_slice(header).map_err(|e| format!("the header is not that of a safetensors file: {e}"))?;
    // Offsets were found to follow each other without gaps, so this bounds them all.
    if metadata.data_len() != data.len() {
        let (promised, found) = (metadata.data_len(), data.len());
        return Err(format!("the header promises {promised} bytes of values, the file has {found}"));
    }
    let mut tensors = BTreeMap::new();
    for (name, info) in metadata.tensors().into_iter().filter(|(name, _)| wanted(name)) {
        // An extent of zero would hide from the format how much the others are together.
        if info.shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n.max(1))).is_none() {
            return Err(format!("tensor `{name}` of shape {:?} is larger than any memory", info.shape));
        }
        if !types.contains(&info.dtype) {
            let types: Vec<String> = types.iter().map(|kind| format!("{kind:?}")).collect();
            return Err(format!("tensor `{name}` is of type {:?}, expected {}", info.dtype, types.join(", ")));
        }
        let bytes = &data[info.data_offsets.0..info.data_offsets.1];
        tensors.insert(name, Tensor { shape: info.shape.clone(), values: singles(bytes, info.dtype) });
    }
    let order = match metadata.metadata().as_ref().and_then(|texts| texts.get(ORDER)) {
        Some(text) => serde_json::from_str(text).map_err(|e| format!("the order of tensors is unreadable: {e}"))?,
        None => metadata.offset_keys(),
    };
    let count = tensors.len();
    let ordered: Vec<_> = order.into_iter().filter_map(|name| tensors.remove_entry(&name)).collect();
    if ordered.len() == count { Ok(ordered) } else { Err("the order of tensors does not name them all".to_string()) }
}

/// Numbers of a type that is read, as the nearest ones of single precision.
fn singles(bytes: &[u8], kind: Dtype) -> Vec<f32> {
    match kind {
        Dtype::F64 => bytes.as_chunks().0.iter().map(|&chunk| f64::from_le_bytes(chunk) as f32).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|&chunk| from_half(u16::from_le_bytes(chunk))).collect(),
        Dtype::BF16 => {
            let wide = |&chunk: &[u8; 2]| f32::from_bits(u32::from(u16::from_le_bytes(chunk)) << 16);
            bytes.as_chunks().0.iter().map(wide).collect()
        }
        _ => bytes.as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect(),
    }
}

/// A number of half precision (IEEE 754 binary16), exactly.
fn from_half(bits: u16) -> f32 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2_f32.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// The header's JSON and the values behind it.
fn header(file: &[u8]) -> std::result::Result<(&[u8], &[u8]), String> {
    let (length, rest) = file.split_first_chunk::<LENGTH>().ok_or("the file is too short for a header")?;
    let length = u64::from_le_bytes(*length);
    if length > HEADER_CAP as u64 {
        return Err(format!(
            "the header claims {length} bytes, more than the {HEADER_CAP} allowed: this is no safetensors file, or a broken one"
        ));
    }
    let found = rest.len();
    rest.split_at_checked(length as usize)
        .ok_or(format!("the header promises {length} bytes, the file has {found} more"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, values: usize) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; values]].concat()
    }

    #[test]
    fn headers_that_lie_are_refused_with_the_reason() {
        let one = |entry: &str| format!(r#"{{"a":{entry}}}"#);
        let half = u64::MAX / 8 / 4 * 4;
        let many: Vec<String> = (0..8)
            .map(|i| {
                let (start, end) = (half * i, half * (i + 1));
                format!(r#""t{i}":{{"dtype":"F32","shape":[{}],"data_offsets":[{start},{end}]}}"#, half / 4)
            })
            .collect();
        for (file, expected) in [
            (vec![1, 2, 3], "too short"),
            (u64::MAX.to_le_bytes().to_vec(), "more than the 1048576 allowed"),
            (1000_u64.to_le_bytes().to_vec(), "promises 1000 bytes, the file has 0"),
            (file("no json", 0), "not that of a safetensors file"),
            (file(&one(r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#), 4), "promises 8 bytes of values"),
            (file(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#), 8), "promises 4 bytes of values"),
            (file(&one(r#"{"dtype":"F16","shape":[2],"data_offsets":[0,4]}"#), 4), "type F16, expected F32"),
            (file(&one(r#"{"dtype":"F32","shape":[3],"data_offsets":[0,4]}"#), 4), "not that of a safetensors file"),
            (file(&one(r#"{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}"#), 0), "safetensors"),
            (file(&one(r#"{"dtype":"F32","shape":[1],"data_offsets":[8,4]}"#), 4), "not that of a safetensors file"),
            (file(&format!("{{{}}}", many.join(",")), 0), "of values, the file has 0"),
            (
                file(&one(r#"{"dtype":"F32","shape":[0,4294967296,4294967296],"data_offsets":[0,0]}"#), 0),
                "larger than any memory",
            ),
            (file(r#"{"__metadata__":{"order":"x"}}"#, 0), "order of tensors is unreadable"),
            (
                file(r#"{"__metadata__":{"order":"[]"},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}"#, 4),
                "does not name them all",
            ),
        ] {
            let why = decode(&file).unwrap_err();
            assert!(why.contains(expected), "{why} (expected: {expected})");
        }
    }

    #[test]
    fn numbers_of_other_precisions_are_read_exactly_where_files_are_those_of_others() {
        for (bits, expected) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x3555, 0.333_251_95),
            (0x7bff, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x8000, -0.0),
            (0xfc00, f32::NEG_INFINITY),
        ] {
            assert_eq!(from_half(bits).to_bits(), f32::to_bits(expected), "{bits:x}");
        }
        assert!(from_half(0x7e00).is_nan());
        let header = r#"{"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]},"d":{"dtype":"F64","shape":[1],"data_offsets":[4,12]},"i":{"dtype":"I64","shape":[0],"data_offsets":[12,12]}}"#;
        let values = [&[0x00, 0x3c, 0xc0, 0x3f][..], &0.1_f64.to_le_bytes()].concat();
        let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &values].concat();
        let found = decode_foreign(&file, |name| name != "i").unwrap();
        let found: Vec<f32> = found.into_iter().map(|(_, tensor)| tensor.values[0]).collect();
        assert_eq!(found, [1.0, 1.5, 0.1]);
        assert!(decode_foreign(&file, |_| true).unwrap_err().contains("`i` is of type I64, expected F32, F16"));
        assert!(decode(&file).unwrap_err().contains("expected F32"));
    }

    #[test]
    fn a_file_without_an_order_is_read_as_it_lies() {
        let header = r#"{"b":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[2,0],"data_offsets":[4,4]}}"#;
        let names: Vec<_> = decode(&file(header, 4)).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["b", "a"]);
    }

    #[test]
    fn what_cannot_be_a_file_is_a_bug_of_the_caller() {
        let tensor =
            |name: &str, shape: &[usize]| (name.to_string(), Tensor { shape: shape.to_vec(), values: vec![0.0] });
        for tensors in [
            vec![tensor("a", &[1]), tensor("a", &[1])],
            vec![tensor(RESERVED, &[1])],
            vec![tensor("a", &[2])],
            vec![tensor("a", &[usize::MAX, 2])],
            vec![tensor(&"long".repeat(HEADER_CAP / 4), &[1])],
        ] {
            assert!(matches!(encode(&tensors), Err(Error::Bug(_))));
        }
    }
}
