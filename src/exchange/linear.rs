//! Maps as PyTorch's `Linear`, `Conv2d`, `ConvTranspose2d` and `GroupNorm` have them, and as they stand in the house.

use crate::checkpoint::Tensor;
use crate::error::{Error, Result};
use crate::model::network::{Image, Kind, Map};

/// What a map is outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `Linear`.
    Dense,
    /// `Conv2d` with so many taps along each side.
    Conv(usize),
    /// `ConvTranspose2d`, likewise.
    ConvTranspose(usize),
    /// `GroupNorm` or `LayerNorm`: scale and shift.
    Norm,
}

/// y = W·x + b, a convolution or a normalisation.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Its name outside: `encoder.mean`.
    pub name: String,
    /// Numbers that it takes; channels of a convolution.
    pub inputs: usize,
    /// Numbers that it gives, likewise.
    pub outputs: usize,
    /// What it is.
    pub form: Form,
    /// W, of the shape [`Linear::shape`].
    pub weight: Vec<f32>,
    /// b, [outputs].
    pub bias: Vec<f32>,
}

impl Linear {
    /// The shape of W, as PyTorch has it: [outputs, inputs]; of a convolution [outputs, inputs, taps, taps], of a
    /// transposed one [inputs, outputs, taps, taps]; of a normalisation [outputs].
    pub fn shape(&self) -> Vec<usize> {
        match self.form {
            Form::Dense => vec![self.outputs, self.inputs],
            Form::Conv(taps) => vec![self.outputs, self.inputs, taps, taps],
            Form::ConvTranspose(taps) => vec![self.inputs, self.outputs, taps, taps],
            Form::Norm => vec![self.outputs],
        }
    }
}

/// The maps of these names that stand side by side in the tensor of a map of the house.
pub fn split(names: &[String], map: &Map, tensor: &Tensor) -> Result<Vec<Linear>> {
    let expected = map.shape();
    if tensor.shape != expected.extents() || !map.outputs.is_multiple_of(names.len()) {
        let (names, shape) = (names.join(", "), &tensor.shape);
        return Err(Error::Bug(format!("{names}: {shape:?} is not the shape of the map, {expected}")));
    }
    let outputs = map.outputs / names.len();
    let head = |(at, name): (usize, &String)| {
        let bias = (expected.rows() - 1) * map.outputs + at * outputs;
        Linear {
            name: name.clone(),
            inputs: map.inputs,
            outputs,
            form: match map.kind {
                Kind::Dense { .. } => Form::Dense,
                Kind::Conv(window) if window.up => Form::ConvTranspose(window.kernel),
                Kind::Conv(window) => Form::Conv(window.kernel),
                Kind::Norm { .. } => Form::Norm,
            },
            weight: weight(map, tensor, at * outputs, outputs),
            bias: match map.kind {
                Kind::Dense { to, .. } => (0..outputs).map(|output| tensor.values[bias + inside(to, output)]).collect(),
                Kind::Conv(_) | Kind::Norm { .. } => tensor.values[bias..bias + outputs].to_vec(),
            },
        }
    };
    Ok(names.iter().enumerate().map(head).collect())
}

/// The weights of the outputs from `first` on, in the order of PyTorch.
fn weight(map: &Map, tensor: &Tensor, first: usize, outputs: usize) -> Vec<f32> {
    let (taps, inputs) = (map.taps(), map.inputs);
    let value =
        |tap: usize, input: usize, output: usize| tensor.values[(tap * inputs + input) * map.outputs + first + output];
    let all = 0..taps * inputs * outputs;
    match map.kind {
        Kind::Dense { from, to } => all.map(|i| value(0, inside(from, i % inputs), inside(to, i / inputs))).collect(),
        Kind::Conv(window) if window.up => {
            all.map(|i| value(i % taps, i / taps / outputs, i / taps % outputs)).collect()
        }
        Kind::Conv(_) => all.map(|i| value(i % taps, i / taps % inputs, i / taps / inputs)).collect(),
        Kind::Norm { .. } => tensor.values[first..first + outputs].to_vec(),
    }
}

/// Where the house has what PyTorch has at `at`: channels of an image lie side by side in each pixel here, and there one
/// plane after the other. What comes behind the image, the class that is told beside it, lies alike in both.
fn inside(image: Option<Image>, at: usize) -> usize {
    match image {
        Some([height, width, channels]) if at < height * width * channels => {
            let pixels = height * width;
            at % pixels * channels + at / pixels
        }
        _ => at,
    }
}

/// Maps of the same inputs side by side as one tensor [inputs + 1, outputs of all], the bias last.
pub fn join(maps: &[&Linear]) -> Tensor {
    let (inputs, outputs) = (maps[0].inputs, maps.iter().map(|map| map.outputs).sum());
    let mut values = Vec::with_capacity((inputs + 1) * outputs);
    for row in 0..inputs {
        for map in maps {
            values.extend((0..map.outputs).map(|output| map.weight[output * inputs + row]));
        }
    }
    values.extend(maps.iter().flat_map(|map| &map.bias));
    Tensor { shape: vec![inputs + 1, outputs], values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Window;

    #[test]
    fn heads_that_stand_side_by_side_come_apart_and_together_again() {
        let tensor = Tensor { shape: vec![3, 4], values: (0..12).map(|i| i as f32).collect() };
        let map = Map { name: "head".into(), inputs: 2, outputs: 4, kind: Kind::Dense { from: None, to: None } };
        let maps = split(&["a".into(), "b".into()], &map, &tensor).unwrap();
        assert_eq!((maps[0].inputs, maps[0].outputs), (2, 2));
        assert_eq!((&maps[0].weight[..], &maps[0].bias[..]), (&[0.0, 4.0, 1.0, 5.0][..], &[8.0, 9.0][..]));
        assert_eq!((&maps[1].weight[..], &maps[1].bias[..]), (&[2.0, 6.0, 3.0, 7.0][..], &[10.0, 11.0][..]));
        assert_eq!(join(&maps.iter().collect::<Vec<_>>()), tensor);
        let scalar = Tensor { shape: vec![], values: vec![0.0] };
        assert!(split(&["a".into()], &map, &scalar).is_err());
    }

    #[test]
    fn convolutions_and_images_are_put_in_the_order_of_pytorch() {
        let values = |map: &Map| {
            let shape = map.shape().extents().to_vec();
            Tensor { values: (0..shape.iter().product()).map(|i: usize| i as f32).collect(), shape }
        };
        let weight = |map: &Map| split(&["a".into()], map, &values(map)).unwrap().remove(0);
        let (name, inputs, outputs) = (String::new(), 2, 3);
        let down = Window::down([4, 4], 2, 2, 0).unwrap();
        let conv = Map { name: name.clone(), inputs, outputs, kind: Kind::Conv(down) };
        let found = weight(&conv);
        assert_eq!((found.shape(), &found.weight[..5]), (vec![3, 2, 2, 2], &[0.0, 6.0, 12.0, 18.0, 3.0][..]));
        assert_eq!(found.bias, [24.0, 25.0, 26.0]);
        let up = Map { kind: Kind::Conv(Window { up: true, ..down }), ..conv };
        let found = weight(&up);
        assert_eq!((found.shape(), &found.weight[..5]), (vec![2, 3, 2, 2], &[0.0, 6.0, 12.0, 18.0, 1.0][..]));
        let norm = Map { inputs: 3, kind: Kind::Norm { groups: 1, pixels: 4 }, ..up };
        let found = weight(&norm);
        assert_eq!((found.shape(), found.weight, found.bias), (vec![3], vec![0.0, 1.0, 2.0], vec![3.0, 4.0, 5.0]));
        // Two pixels of two channels become three numbers, and these an image of one pixel.
        let kind = Kind::Dense { from: Some([2, 1, 2]), to: Some([1, 1, 3]) };
        let found = weight(&Map { name, inputs: 4, outputs: 3, kind });
        assert_eq!((found.shape(), &found.weight[..4]), (vec![3, 4], &[0.0, 6.0, 3.0, 9.0][..]));
        // What is told beside the image, one of three classes, stays behind it.
        let kind = Kind::Dense { from: Some([2, 1, 2]), to: None };
        let found = weight(&Map { name: String::new(), inputs: 7, outputs: 1, kind });
        assert_eq!((found.weight, found.bias), (vec![0.0, 2.0, 1.0, 3.0, 4.0, 5.0, 6.0], vec![7.0]));
        let kind = Kind::Dense { from: None, to: Some([2, 1, 2]) };
        let found = weight(&Map { name: String::new(), inputs: 1, outputs: 4, kind });
        assert_eq!((found.weight, found.bias), (vec![0.0, 2.0, 1.0, 3.0], vec![4.0, 6.0, 5.0, 7.0]));
    }
}
