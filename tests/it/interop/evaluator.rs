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
    /// The extents that a row has, where it is more than numbers in a row; of a constant all its extents.
    pub extents: Vec<usize>,
}

impl Matrix {
    fn new(columns: usize, values: Vec<f64>) -> Self {
        Self { columns, values, extents: vec![columns] }
    }

    /// Rows of these extents; of a constant all extents.
    pub fn of(extents: &[usize], values: Vec<f64>) -> Self {
        Self { columns: extents.iter().product(), values, extents: extents.to_vec() }
    }

    /// The same numbers in rows of other extents.
    pub fn lie(&self, extents: &[usize]) -> Self {
        assert_eq!(extents.iter().product::<usize>(), self.columns, "{extents:?}");
        Self { extents: extents.to_vec(), ..self.clone() }
    }

    fn rows(&self) -> usize {
        self.values.len() / self.columns
    }

    /// A column [C, 1] beside rows [C, N]: every number N times; anything else as it is.
    pub fn along(&self, other: &Self) -> Self {
        match (&self.extents[..], &other.extents[..]) {
            (&[c, 1], &[d, n]) if c == d => {
                let values = self.values.iter().flat_map(|&value| vec![value; n]).collect();
                Self { columns: c * n, values, extents: vec![c, n] }
            }
            (&[c, 1, 1], &[d, high, wide]) if c == d => {
                let values = self.values.iter().flat_map(|&value| vec![value; high * wide]).collect();
                Self { columns: c * high * wide, values, extents: vec![c, high, wide] }
            }
            _ => self.clone(),
        }
    }

    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { values: self.values.iter().map(|&x| f(x)).collect(), ..self.clone() }
    }

    /// Element by element; what is smaller, a scalar or a row, is repeated.
    pub fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        // A number for each of several rows.
        if other.columns == 1 && self.columns > 1 && other.extents == [1] && other.values.len() == self.rows() {
            let values = self.values.iter().enumerate().map(|(at, &x)| f(x, other.values[at / self.columns]));
            return Self { values: values.collect(), ..self.clone() };
        }
        let count = self.values.len().max(other.values.len());
        let large = if self.values.len() == count { self } else { other };
        let at = |m: &Self, i: usize| m.values[i % m.values.len()];
        Self { values: (0..count).map(|i| f(at(self, i), at(other, i))).collect(), ..large.clone() }
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
    let extents = dims.iter().map(|&n| n as usize).collect();
    Matrix { columns: dims.last().map_or(1, |&n| n as usize), values, extents }
}

/// What a file takes or gives: names, and the width behind a free number of rows.
pub fn ports(file: &[u8], number: u64) -> Vec<(String, usize)> {
    let graph = blobs(file, 7)[0];
    let port = |value: &&[u8]| {
        let kind = blobs(blobs(value, 2)[0], 1)[0];
        let dims = blobs(blobs(kind, 2)[0], 1);
        assert_eq!(texts(dims[0], 2), ["batch".to_owned()]);
        // Codes alone are whole numbers.
        assert_eq!(ints(kind, 1), [if texts(value, 1) == ["codes"] { 7 } else { 1 }]);
        (texts(value, 1).remove(0), dims[1..].iter().map(|extent| ints(extent, 1)[0] as usize).product())
    };
    blobs(graph, number).iter().map(port).collect()
}

/// The version of the set of operations, and the version of the format.
pub fn versions(file: &[u8]) -> (u64, u64) {
    (ints(blobs(file, 8)[0], 2)[0], ints(file, 1)[0])
}

/// Runs a file on its inputs, in their order, and gives all of its outputs by name. Inputs that it does not have are empty.
pub fn run(file: &[u8], inputs: &[&[f32]]) -> BTreeMap<String, Vec<f64>> {
    let graph = blobs(file, 7)[0];
    let mut known: BTreeMap<String, Matrix> =
        blobs(graph, 5).into_iter().map(|tensor| (texts(tensor, 8).remove(0), constant(tensor))).collect();
    let ports_in = ports(file, 11);
    assert_eq!(ports_in.len(), inputs.iter().filter(|input| !input.is_empty()).count());
    for ((name, columns), input) in ports_in.into_iter().zip(inputs) {
        known.insert(name, Matrix::new(columns, input.iter().map(|&x| f64::from(x)).collect()));
    }
    for node in blobs(graph, 1) {
        // What is left out has no name.
        let names = texts(node, 1);
        let inputs: Vec<Matrix> =
            names.iter().filter(|name| !name.is_empty()).map(|name| known[name].clone()).collect();
        let made = match &texts(node, 4)[0][..] {
            "Reshape" => vec![reshape(&inputs[0], &inputs[1])],
            "Conv" if list(node, "pads")[..2] != list(node, "pads")[2..] => {
                assert_eq!(list(node, "kernel_shape"), inputs[1].extents[2..]);
                vec![masked(&list(node, "pads"), &inputs)]
            }
            "Transpose" => vec![transpose(&inputs[0], &list(node, "perm"))],
            op @ ("Conv" | "ConvTranspose") => {
                let transposed = op == "ConvTranspose";
                assert_eq!(list(node, "kernel_shape"), inputs[1].extents[2..]);
                let more = if transposed { list(node, "output_padding") } else { vec![0; 2] };
                let [stride, padding] = ["strides", "pads"].map(|name| list(node, name)[0]);
                vec![convolution(transposed, [stride, padding, more[0], more[1]], &inputs)]
            }
            "AveragePool" => vec![means(&inputs[0], list(node, "kernel_shape")[0], list(node, "strides")[0])],
            "Resize" => {
                assert_eq!(names[1], "", "the second input is a region, which the nearest pixels do not want");
                vec![repeated(&inputs[0], &inputs[1])]
            }
            "ArgMin" => {
                let attributes: Vec<_> = blobs(node, 5).into_iter().map(|a| (texts(a, 1), ints(a, 3))).collect();
                assert_eq!(
                    attributes,
                    [("axis", 2), ("keepdims", 0)].map(|(name, n)| (vec![name.to_owned()], vec![n]))
                );
                vec![least(&inputs[0])]
            }
            "Slice" => {
                let [x, starts, ends, axes] = &inputs[..] else { panic!("{} inputs", inputs.len()) };
                let (start, end) = (starts.values[0] as usize, ends.values[0] as usize);
                assert_eq!((axes.values[0], x.extents.len()), (1.0, 1));
                let values = x.values.chunks_exact(x.columns).flat_map(|row| row[start..end].to_vec()).collect();
                vec![Matrix::new(end - start, values)]
            }
            "ReduceMax" => {
                assert_eq!(list(node, "axes"), [1]);
                vec![each_row(&inputs[0], f64::NEG_INFINITY, f64::max)]
            }
            // Neighbouring rows of an example, column by column.
            "ReduceSum" if inputs[0].extents.len() == 2 => {
                let x = &inputs[0];
                assert_eq!(inputs[1].values, [1.0]);
                let (of, columns) = (x.extents[0], x.extents[1]);
                let sum = |row: &[f64], column: usize| (0..of).map(|at| row[at * columns + column]).sum::<f64>();
                let all = x.values.chunks_exact(of * columns);
                let values = all.flat_map(|row| (0..columns).map(|column| sum(row, column)).collect::<Vec<_>>());
                vec![Matrix::new(columns, values.collect())]
            }
            "Tile" => {
                let x = &inputs[0];
                assert_eq!((x.extents[0], &inputs[1].values[..1], inputs[1].values[2]), (1, &[1.0][..], 1.0));
                let times = inputs[1].values[1] as usize;
                let values = x.values.chunks_exact(x.columns).flat_map(|row| row.repeat(times)).collect();
                vec![Matrix { columns: times * x.columns, values, extents: vec![times, x.columns] }]
            }
            "ReduceSum" => {
                assert_eq!(inputs[1].values, [1.0]);
                vec![each_row(&inputs[0], 0.0, |sum, x| sum + x)]
            }
            "InstanceNormalization" => vec![normalised(&inputs)],
            op => operation(op, &inputs),
        };
        for (name, matrix) in texts(node, 2).into_iter().zip(made) {
            assert!(known.insert(name, matrix).is_none(), "a tensor is made once");
        }
    }
    ports(file, 12).into_iter().map(|(name, _)| (name.clone(), known[&name].values.clone())).collect()
}

/// 2/√π·exp(−x²)·Σ 2ⁿx²ⁿ⁺¹/(1·3·5···(2n+1)), whose terms have one sign.
pub fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, 0.0);
    for n in 1..400 {
        sum += term;
        term *= 2.0 * x * x / f64::from(2 * n + 1);
    }
    2.0 / std::f64::consts::PI.sqrt() * (-x * x).exp() * sum
}

fn operation(op: &str, inputs: &[Matrix]) -> Vec<Matrix> {
    let [a, rest @ ..] = inputs else { panic!("{op} has no input") };
    let one = match (op, rest) {
        ("Identity", []) => a.clone(),
        ("Relu", []) => a.map(|x| x.max(0.0)),
        ("Tanh", []) => a.map(f64::tanh),
        ("Sigmoid", []) => a.map(|x| 1.0 / (1.0 + (-x).exp())),
        ("Erf", []) => a.map(erf),
        ("Softplus", []) => a.map(|x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        ("Mul", [b]) => a.zip(&b.along(a), |x, y| x * y),
        ("Add", [b]) => a.zip(&b.along(a), |x, y| x + y),
        ("Sub", [b]) => a.zip(b, |x, y| x - y),
        ("Div", [b]) => a.zip(b, |x, y| x / y),
        ("GreaterOrEqual", [b]) => a.zip(b, |x, y| f64::from(x >= y)),
        ("Less", [b]) => a.zip(b, |x, y| f64::from(x < y)),
        ("Where", [b, c]) if b.columns > 1 => {
            // The mask is of columns, or of every number.
            let pick = |(at, (&b, &c)): (usize, (&f64, &f64))| if a.values[at % a.values.len()] > 0.0 { b } else { c };
            Matrix { values: b.values.iter().zip(&c.values).enumerate().map(pick).collect(), ..b.clone() }
        }
        ("Where", [b, c]) => {
            let otherwise = a.zip(c, |x, c| if x > 0.0 { f64::NAN } else { c });
            let values = otherwise.values.iter().zip(&a.values);
            let values = values.map(|(&value, &x)| if x > 0.0 { b.values[0] } else { value }).collect();
            Matrix { values, ..a.clone() }
        }
        ("IsNaN", []) => a.map(|x| f64::from(x.is_nan())),
        ("Log", []) => a.map(f64::ln),
        ("Exp", []) => a.map(f64::exp),
        ("Softmax", []) => softmax(a),
        ("LogSoftmax", []) => softmax(a).map(f64::ln),
        ("Concat", _) => concat(inputs),
        ("Max", others) => others.iter().fold(a.clone(), |most, other| most.zip(other, f64::max)),
        ("Min", [b]) => a.zip(b, f64::min),
        ("Clip", [low, high]) => a.map(|x| x.clamp(low.values[0], high.values[0])),
        ("Gemm", [weight, bias]) => product(a, weight, bias),
        ("MatMul", [other]) if a.extents.len() == 2 && other.extents.len() == 2 && other.columns > other.extents[1] => {
            let (&[m, k], &[_, n]) = (&a.extents[..], &other.extents[..]) else { panic!("no matrices") };
            let pairs = a.values.chunks_exact(m * k).zip(other.values.chunks_exact(k * n));
            let one = |(a, b): (&[f64], &[f64])| -> Vec<f64> {
                let of = |at: usize| (0..k).map(|i| a[at / n * k + i] * b[i * n + at % n]).sum();
                (0..m * n).map(of).collect()
            };
            Matrix { columns: m * n, values: pairs.flat_map(one).collect(), extents: vec![m, n] }
        }
        ("MatMul", [weight]) => {
            let mut extents = a.extents.clone();
            let inner = std::mem::replace(extents.last_mut().expect("rows of numbers"), weight.columns);
            let flat = Matrix::new(inner, a.values.clone());
            let made = product(&flat, weight, &Matrix::new(weight.columns, vec![0.0; weight.columns]));
            Matrix { columns: extents.iter().product(), values: made.values, extents }
        }
        ("Gather", [index]) => {
            let row = |&index: &f64| a.values[index as usize * a.columns..][..a.columns].to_vec();
            let extents = vec![index.columns, a.columns];
            Matrix { columns: extents.iter().product(), values: index.values.iter().flat_map(row).collect(), extents }
        }
        ("Split", [widths]) => return split(a, widths),
        _ => panic!("{op} with {} inputs", inputs.len()),
    };
    vec![one]
}

/// One number of each row.
fn each_row(x: &Matrix, first: f64, f: impl Fn(f64, f64) -> f64) -> Matrix {
    assert_eq!(x.extents.len(), 1);
    Matrix::new(1, x.values.chunks_exact(x.columns).map(|row| row.iter().copied().fold(first, &f)).collect())
}

/// The whole numbers of an attribute.
fn list(node: &[u8], name: &str) -> Vec<usize> {
    let attribute = blobs(node, 5).into_iter().find(|attribute| texts(attribute, 1) == [name]);
    ints(attribute.unwrap_or_else(|| panic!("no {name}")), 8).into_iter().map(|n| n as usize).collect()
}

/// The same numbers in other extents behind the first, which is free.
fn reshape(x: &Matrix, shape: &Matrix) -> Matrix {
    assert_eq!(shape.values[0], -1.0);
    let extents: Vec<usize> = shape.values[1..].iter().map(|&n| n as usize).collect();
    // Rows of an example come apart and together again.
    let [of_row, before] = [extents.iter().product::<usize>(), x.columns];
    assert!(of_row.is_multiple_of(before) || before.is_multiple_of(of_row), "{extents:?} of {:?}", x.extents);
    assert!(x.values.len().is_multiple_of(of_row), "{extents:?} of {:?}", x.extents);
    Matrix { columns: extents.iter().product(), values: x.values.clone(), extents }
}

/// The axes of each row in another order; the first axis stays.
fn transpose(x: &Matrix, order: &[usize]) -> Matrix {
    assert_eq!((order[0], order.len()), (0, x.extents.len() + 1));
    let extents: Vec<usize> = order[1..].iter().map(|&axis| x.extents[axis - 1]).collect();
    let from = |mut at: usize| {
        let mut place = vec![0; extents.len()];
        for (axis, &extent) in extents.iter().enumerate().rev() {
            place[order[axis + 1] - 1] = at % extent;
            at /= extent;
        }
        place.iter().zip(&x.extents).fold(0, |at, (place, extent)| at * extent + place)
    };
    let row = |row: &[f64]| -> Vec<f64> { (0..row.len()).map(|at| row[from(at)]).collect() };
    Matrix { columns: x.columns, values: x.values.chunks_exact(x.columns).flat_map(row).collect(), extents }
}

/// A convolution by what every pixel of its input gives to pixels of its output, or of a transposed one likewise, to which
/// pixels may be added below and to the right.
pub fn convolution(transposed: bool, [stride, padding, below, right]: [usize; 4], inputs: &[Matrix]) -> Matrix {
    let [x, weight, bias] = inputs else { panic!("{} inputs", inputs.len()) };
    // Each channel by itself: zeros for what the others would give.
    let alone = match (&x.extents[..], &weight.extents[..]) {
        (&[channels, ..], &[outputs, 1, high, wide]) if !transposed && channels == outputs && channels > 1 => {
            let mut all = vec![0.0; channels * channels * high * wide];
            for (at, &value) in weight.values.iter().enumerate() {
                let (channel, tap) = (at / (high * wide), at % (high * wide));
                all[(channel * channels + channel) * high * wide + tap] = value;
            }
            Some(Matrix::of(&[channels, channels, high, wide], all))
        }
        _ => None,
    };
    let weight = alone.as_ref().unwrap_or(weight);
    let (&[channels, height, width], &[a, b, kernel, _]) = (&x.extents[..], &weight.extents[..]) else {
        panic!("no image")
    };
    let outputs = if transposed { b } else { a };
    assert_eq!(if transposed { a } else { b }, channels);
    let side = |side: usize, more: usize| {
        if transposed {
            (side - 1) * stride + kernel + more - 2 * padding
        } else {
            (side + 2 * padding - kernel) / stride + 1
        }
    };
    let [high, wide] = [side(height, below), side(width, right)];
    let mut values = Vec::new();
    for image in x.values.chunks_exact(x.columns) {
        let first = values.len();
        values.extend((0..outputs * high * wide).map(|at| bias.values[at / high / wide]));
        for at in 0..kernel * kernel * height.max(high) * width.max(wide) {
            // Whatever the direction, (y, x) belongs to the coarse side.
            let (tap, place) = (at % (kernel * kernel), at / (kernel * kernel));
            let ([coarse_high, coarse_wide], [fine_high, fine_wide]) =
                if transposed { ([height, width], [high, wide]) } else { ([high, wide], [height, width]) };
            let (y, x) = (place / width.max(wide), place % width.max(wide));
            let [fine_y, fine_x] =
                [y * stride + tap / kernel, x * stride + tap % kernel].map(|at| at.wrapping_sub(padding));
            if y >= coarse_high || x >= coarse_wide || fine_y >= fine_high || fine_x >= fine_wide {
                continue;
            }
            let (from, to) = ([y * coarse_wide + x, fine_y * fine_wide + fine_x], [high * wide, height * width]);
            let (read, made) = if transposed { (from[0], from[1]) } else { (from[1], from[0]) };
            for pair in 0..channels * outputs {
                let (input, output) = (pair / outputs, pair % outputs);
                let weight_at = if transposed { input * outputs + output } else { output * channels + input };
                values[first + output * to[0] + made] +=
                    image[input * to[1] + read] * weight.values[weight_at * kernel * kernel + tap];
            }
        }
    }
    Matrix { columns: outputs * high * wide, values, extents: vec![outputs, high, wide] }
}

/// A convolution of stride 1 by a kernel of any extents, with so many zeros above, on the left, below and on the right.
fn masked(pads: &[usize], inputs: &[Matrix]) -> Matrix {
    let [x, weight, bias] = inputs else { panic!("{} inputs", inputs.len()) };
    let (&[channels, height, width], &[outputs, inner, high, wide]) = (&x.extents[..], &weight.extents[..]) else {
        panic!("no image")
    };
    assert_eq!(
        (inner, pads[0] + pads[2] + 1, pads[1] + pads[3] + 1),
        (channels, high, wide),
        "the grid keeps its extents"
    );
    let mut values = Vec::new();
    for image in x.values.chunks_exact(x.columns) {
        for at in 0..outputs * height * width {
            let (output, row, column) = (at / width / height, at / width % height, at % width);
            let mut sum = bias.values[output];
            for tap in 0..channels * high * wide {
                let (channel, y, x) = (tap / wide / high, row + tap / wide % high, column + tap % wide);
                let inside = y >= pads[0] && x >= pads[1] && y - pads[0] < height && x - pads[1] < width;
                if inside {
                    let from = (channel * height + y - pads[0]) * width + x - pads[1];
                    sum += image[from] * weight.values[output * channels * high * wide + tap];
                }
            }
            values.push(sum);
        }
    }
    Matrix { columns: outputs * height * width, values, extents: vec![outputs, height, width] }
}

/// Each pixel of images [channels, height, width] made of some of the old ones, of the same channel: the mean over these.
fn pixels(x: &Matrix, [high, wide]: [usize; 2], from: impl Fn(usize, usize) -> Vec<[usize; 2]>) -> Matrix {
    let &[channels, height, width] = &x.extents[..] else { panic!("no image") };
    let mut values = Vec::new();
    for plane in x.values.chunks_exact(height * width) {
        for (line, column) in (0..high).flat_map(|line| (0..wide).map(move |column| (line, column))) {
            let old = from(line, column);
            let sum: f64 = old.iter().map(|[line, column]| plane[line * width + column]).sum();
            values.push(sum / old.len() as f64);
        }
    }
    Matrix { columns: channels * high * wide, values, extents: vec![channels, high, wide] }
}

pub fn means(x: &Matrix, kernel: usize, stride: usize) -> Matrix {
    let made = [x.extents[1], x.extents[2]].map(|side| (side - kernel) / stride + 1);
    let taps = |at: usize| at * stride..at * stride + kernel;
    pixels(x, made, |line, column| taps(line).flat_map(|y| taps(column).map(move |x| [y, x])).collect())
}

/// The nearest pixels, by the place of the middles of the new ones.
pub fn repeated(x: &Matrix, scales: &Matrix) -> Matrix {
    assert_eq!(scales.values[..2], [1.0, 1.0]);
    let (high, wide) = (scales.values[2], scales.values[3]);
    let made = [x.extents[1] as f64 * high, x.extents[2] as f64 * wide].map(|side| side as usize);
    let nearest = |at: usize, scale: f64| ((at as f64 + 0.5) / scale - 0.5).round() as usize;
    pixels(x, made, |line, column| vec![[nearest(line, high), nearest(column, wide)]])
}

/// Each channel of each row with mean 0 and variance 1, but for what is added to the variance.
pub fn normalised(inputs: &[Matrix]) -> Matrix {
    let [x, scale, shift] = inputs else { panic!("{} inputs", inputs.len()) };
    let (channels, count) = (x.extents[0], x.extents[1]);
    let channel = |(at, x): (usize, &[f64])| -> Vec<f64> {
        let mean = x.iter().sum::<f64>() / count as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count as f64;
        let (scale, shift) = (scale.values[at % channels], shift.values[at % channels]);
        x.iter().map(|x| scale * (x - mean) / (variance + 1e-5).sqrt() + shift).collect()
    };
    Matrix { values: x.values.chunks_exact(count).enumerate().flat_map(channel).collect(), ..x.clone() }
}

/// The place of the least number of each row of each example, of several the first.
fn least(x: &Matrix) -> Matrix {
    let row = |row: &[f64]| (0..row.len()).fold(0, |best, at| if row[at] < row[best] { at } else { best }) as f64;
    Matrix::new(x.extents[0], x.values.chunks_exact(x.extents[1]).map(row).collect())
}

fn product(x: &Matrix, weight: &Matrix, bias: &Matrix) -> Matrix {
    let (rows, inner, columns) = (x.rows(), x.columns, weight.columns);
    assert_eq!((weight.rows(), bias.values.len()), (inner, columns));
    let element = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        let sum: f64 = (0..inner).map(|k| x.values[row * inner + k] * weight.values[k * columns + column]).sum();
        sum + bias.values[column]
    };
    Matrix::new(columns, (0..rows * columns).map(element).collect())
}

/// Along the rows.
pub fn softmax(x: &Matrix) -> Matrix {
    let row = |row: &[f64]| -> Vec<f64> {
        let sum: f64 = row.iter().map(|x| x.exp()).sum();
        row.iter().map(|x| x.exp() / sum).collect()
    };
    let last = x.extents.last().copied().unwrap_or(x.columns);
    Matrix { values: x.values.chunks_exact(last).flat_map(row).collect(), ..x.clone() }
}

/// Side by side.
fn concat(parts: &[Matrix]) -> Matrix {
    let row =
        |row: usize| parts.iter().flat_map(move |part| part.values[row * part.columns..][..part.columns].to_vec());
    Matrix::new(parts.iter().map(|part| part.columns).sum(), (0..parts[0].rows()).flat_map(row).collect())
}

fn split(x: &Matrix, widths: &Matrix) -> Vec<Matrix> {
    let mut from = 0;
    let part = |width: &f64| {
        let mut extents = x.extents.clone();
        extents[0] = *width as usize;
        let (begin, columns) = (from, extents.iter().product::<usize>());
        from += columns;
        let values = x.values.chunks_exact(x.columns).flat_map(|row| row[begin..begin + columns].to_vec()).collect();
        Matrix { columns, values, extents }
    };
    let parts: Vec<Matrix> = widths.values.iter().map(part).collect();
    assert_eq!(from, x.columns, "everything is given out");
    parts
}
