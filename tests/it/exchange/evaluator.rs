//! A small ONNX runtime: reads the wire format of protocol buffers and computes in f64, knowing nothing of the writer.

use std::collections::BTreeMap;

/// A field of a message.
enum Field<'a> {
    Int(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message by their numbers, in order.
fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Int(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (content, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(content)
            }
            wire => panic!("wire type {wire}"),
        };
        found.push((key >> 3, field));
    }
    found
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in 0.. {
        let (&byte, rest) = bytes.split_first().expect("a varint ends");
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << (7 * shift);
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn blobs<'a>(message: &'a [u8], number: u64) -> Vec<&'a [u8]> {
    let blob = |(at, field): (u64, Field<'a>)| match field {
        Field::Bytes(bytes) if at == number => Some(bytes),
        _ => None,
    };
    fields(message).into_iter().filter_map(blob).collect()
}

fn texts(message: &[u8], number: u64) -> Vec<String> {
    blobs(message, number).into_iter().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap()).collect()
}

fn ints(message: &[u8], number: u64) -> Vec<u64> {
    let int = |(at, field)| match field {
        Field::Int(value) if at == number => Some(value),
        _ => None,
    };
    fields(message).into_iter().filter_map(int).collect()
}

/// A matrix; what has one row is repeated where more are needed.
#[derive(Debug, Clone)]
pub struct Matrix {
    pub columns: usize,
    pub values: Vec<f64>,
}

impl Matrix {
    fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { columns: self.columns, values: self.values.iter().map(|&x| f(x)).collect() }
    }

    /// Element by element; what is smaller, a scalar or a row, is repeated.
    fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        let count = self.values.len().max(other.values.len());
        let large = if self.values.len() == count { self } else { other };
        let at = |m: &Self, i: usize| m.values[i % m.values.len()];
        Self { columns: large.columns, values: (0..count).map(|i| f(at(self, i), at(other, i))).collect() }
    }
}

/// A constant: its extents may be none, which is a scalar.
fn constant(tensor: &[u8]) -> Matrix {
    let dims = ints(tensor, 1);
    let raw = blobs(tensor, 9)[0];
    let values: Vec<f64> = match ints(tensor, 2)[0] {
        1 => raw.as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect(),
        7 => raw.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f64).collect(),
        kind => panic!("type {kind}"),
    };
    assert_eq!(values.len() as u64, dims.iter().product::<u64>(), "{dims:?}");
    Matrix { columns: dims.last().map_or(1, |&n| n as usize), values }
}

/// What a file takes or gives: names, and the width behind a free number of rows.
pub fn ports(file: &[u8], number: u64) -> Vec<(String, usize)> {
    let graph = blobs(file, 7)[0];
    let port = |value: &&[u8]| {
        let kind = blobs(blobs(value, 2)[0], 1)[0];
        let dims = blobs(blobs(kind, 2)[0], 1);
        assert_eq!((ints(kind, 1), texts(dims[0], 2), dims.len()), (vec![1], vec!["batch".to_owned()], 2));
        (texts(value, 1).remove(0), ints(dims[1], 1)[0] as usize)
    };
    blobs(graph, number).iter().map(port).collect()
}

/// The version of the set of operations, and the version of the format.
pub fn versions(file: &[u8]) -> (u64, u64) {
    (ints(blobs(file, 8)[0], 2)[0], ints(file, 1)[0])
}

/// Runs a file on one input and gives all of its outputs by name.
pub fn run(file: &[u8], input: &[f32]) -> BTreeMap<String, Vec<f64>> {
    let graph = blobs(file, 7)[0];
    let mut known: BTreeMap<String, Matrix> =
        blobs(graph, 5).into_iter().map(|tensor| (texts(tensor, 8).remove(0), constant(tensor))).collect();
    let (name, columns) = ports(file, 11).remove(0);
    known.insert(name, Matrix { columns, values: input.iter().map(|&x| f64::from(x)).collect() });
    for node in blobs(graph, 1) {
        let inputs: Vec<Matrix> = texts(node, 1).iter().map(|name| known[name].clone()).collect();
        let made = operation(&texts(node, 4)[0], &inputs);
        for (name, matrix) in texts(node, 2).into_iter().zip(made) {
            assert!(known.insert(name, matrix).is_none(), "a tensor is made once");
        }
    }
    ports(file, 12).into_iter().map(|(name, _)| (name.clone(), known[&name].values.clone())).collect()
}

fn operation(op: &str, inputs: &[Matrix]) -> Vec<Matrix> {
    let [a, rest @ ..] = inputs else { panic!("{op} has no input") };
    let one = match (op, rest) {
        ("Identity", []) => a.clone(),
        ("Relu", []) => a.map(|x| x.max(0.0)),
        ("Tanh", []) => a.map(f64::tanh),
        ("Sigmoid", []) => a.map(|x| 1.0 / (1.0 + (-x).exp())),
        ("Softplus", []) => a.map(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        ("Mul", [b]) => a.zip(b, |x, y| x * y),
        ("Add", [b]) => a.zip(b, |x, y| x + y),
        ("Sub", [b]) => a.zip(b, |x, y| x - y),
        ("Div", [b]) => a.zip(b, |x, y| x / y),
        ("GreaterOrEqual", [b]) => a.zip(b, |x, y| f64::from(x >= y)),
        ("Where", [b, c]) => {
            let otherwise = a.zip(c, |x, c| if x > 0.0 { f64::NAN } else { c });
            let values = otherwise.values.iter().zip(&a.values);
            let values = values.map(|(&value, &x)| if x > 0.0 { b.values[0] } else { value }).collect();
            Matrix { columns: a.columns, values }
        }
        ("IsNaN", []) => a.map(|x| f64::from(x.is_nan())),
        ("Log", []) => a.map(f64::ln),
        ("Exp", []) => a.map(f64::exp),
        ("Softmax", []) => softmax(a),
        ("Concat", _) => concat(inputs),
        ("Clip", [low, high]) => a.map(|x| x.clamp(low.values[0], high.values[0])),
        ("Gemm", [weight, bias]) => product(a, weight, bias),
        ("Split", [widths]) => return split(a, widths),
        _ => panic!("{op} with {} inputs", inputs.len()),
    };
    vec![one]
}

fn product(x: &Matrix, weight: &Matrix, bias: &Matrix) -> Matrix {
    let (rows, inner, columns) = (x.rows(), x.columns, weight.columns);
    assert_eq!((weight.rows(), bias.values.len()), (inner, columns));
    let element = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        let sum: f64 = (0..inner).map(|k| x.values[row * inner + k] * weight.values[k * columns + column]).sum();
        sum + bias.values[column]
    };
    Matrix { columns, values: (0..rows * columns).map(element).collect() }
}

/// Along the rows.
fn softmax(x: &Matrix) -> Matrix {
    let row = |row: &[f64]| -> Vec<f64> {
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        row.iter().map(|x| x.exp() / sum).collect()
    };
    Matrix { columns: x.columns, values: x.values.chunks_exact(x.columns).flat_map(row).collect() }
}

/// Side by side.
fn concat(parts: &[Matrix]) -> Matrix {
    let row =
        |row: usize| parts.iter().flat_map(move |part| part.values[row * part.columns..][..part.columns].to_vec());
    Matrix {
        columns: parts.iter().map(|part| part.columns).sum(),
        values: (0..parts[0].rows()).flat_map(row).collect(),
    }
}

fn split(x: &Matrix, widths: &Matrix) -> Vec<Matrix> {
    let mut from = 0;
    let part = |width: &f64| {
        let (begin, columns) = (from, *width as usize);
        from += columns;
        let values = x.values.chunks_exact(x.columns).flat_map(|row| row[begin..begin + columns].to_vec()).collect();
        Matrix { columns, values }
    };
    let parts: Vec<Matrix> = widths.values.iter().map(part).collect();
    assert_eq!(from, x.columns, "everything is given out");
    parts
}
