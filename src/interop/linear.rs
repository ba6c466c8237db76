//! Maps as PyTorch's `Linear`, `Conv2d`, `ConvTranspose2d`, `GroupNorm` and `BatchNorm2d` have them, and as they stand in the house.

use crate::checkpoint::Tensor;
use crate::error::{Error, Result};
use crate::model::network::{Image, Map, MapKind, batch_norm};

/// What a map is outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `Linear`.
    Dense,
    /// `Conv2d` with so many taps along each side.
    Conv(usize),
    /// `ConvTranspose2d`, likewise.
    ConvTranspose(usize),
    /// `GroupNorm`, `LayerNorm` or `BatchNorm1d` and `BatchNorm2d`: scale and shift.
    Norm,
    /// Numbers that are added in so many places, [inputs, outputs], without a bias.
    Positions,
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
    /// b, [outputs]; nothing where a convolution of others has none, and of positions.
    pub bias: Vec<f32>,
    /// Of a batch normalisation the running mean of each channel, and then the variances, [2, outputs]; of others nothing.
    pub running: Vec<f32>,
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
            Form::Positions => vec![self.inputs, self.outputs],
        }
    }
}

/// The maps of these names that stand side by side in the tensor of a map of the house.
///
/// # Errors
/// [`Error::Bug`] where tensor and map differ in shape.
pub fn split(names: &[String], map: &Map, tensor: &Tensor) -> Result<Vec<Linear>> {
    let expected = map.shape();
    if tensor.shape != expected.extents() || !map.outputs.is_multiple_of(names.len()) {
        let (names, shape) = (names.join(", "), &tensor.shape);
        return Err(Error::Bug(format!("{names}: {shape:?} is not the shape of the map, {expected}")));
    }
    if map.kind == MapKind::Positions {
        let (name, weight) = (names.concat(), tensor.values.clone());
        let Map { inputs, outputs, .. } = *map;
        return Ok(vec![Linear {
            name,
            inputs,
            outputs,
            form: Form::Positions,
            weight,
            bias: vec![],
            running: vec![],
        }]);
    }
    let outputs = map.outputs / names.len();
    let head = |(at, name): (usize, &String)| {
        let (row, first) = ((expected.rows() - 1) * map.outputs, at * outputs);
        Linear {
            name: name.clone(),
            inputs: map.inputs,
            outputs,
            form: form(map),
            weight: places(map, outputs).map(|place| tensor.values[place + first]).collect(),
            bias: (0..outputs).map(|output| tensor.values[row + first + bias_place(map, output)]).collect(),
            running: vec![],
        }
    };
    Ok(names.iter().enumerate().map(head).collect())
}

/// The tensor of a map of the house in which these maps stand side by side: [`split`] backwards.
///
/// # Errors
/// What does not fit, naming the map.
pub fn together(map: &Map, heads: &[&Linear]) -> std::result::Result<Tensor, String> {
    let shape = map.shape();
    let outputs = map.outputs / heads.len().max(1);
    if let (MapKind::Positions, [head]) = (map.kind, heads) {
        // In a file it looks like a dense layer without a bias.
        if head.shape() != shape.extents() || head.bias.iter().any(|&bias| bias != 0.0) {
            let (name, found) = (&head.name, head.shape());
            return Err(format!("`{name}` is {found:?}, and {} wants positions {shape} without a bias", map.name));
        }
        return Ok(Tensor { shape: shape.extents().to_vec(), values: head.weight.clone() });
    }
    let mut values = vec![0.0; shape.count()];
    for (at, head) in heads.iter().enumerate() {
        let (name, form) = (String::new(), form(map));
        let (weight, bias, running) = (vec![], vec![], vec![]);
        let wanted = Linear { name, inputs: map.inputs, outputs, form, weight, bias, running };
        if head.shape() != wanted.shape() || !(head.bias.is_empty() || head.bias.len() == outputs) {
            let (name, found, bias, wanted) = (&head.name, head.shape(), head.bias.len(), wanted.shape());
            return Err(format!(
                "`{name}` has a weight {found:?} and a bias [{bias}], and {} wants {wanted:?} and [{outputs}]",
                map.name
            ));
        }
        let (row, first) = ((shape.rows() - 1) * map.outputs, at * outputs);
        for (place, &value) in places(map, outputs).zip(&head.weight) {
            values[place + first] = value;
        }
        for (output, &value) in head.bias.iter().enumerate() {
            values[row + first + bias_place(map, output)] = value;
        }
    }
    Ok(Tensor { shape: shape.extents().to_vec(), values })
}

/// The running moments of the house that a map wants beside its tensor, where it wants some.
///
/// # Errors
/// What does not fit, naming the layer.
pub fn running(map: &Map, layer: &Linear) -> std::result::Result<Option<(String, Tensor)>, String> {
    let (name, channels) = (&layer.name, map.outputs);
    match (map.kind, layer.running.len()) {
        (MapKind::BatchNorm(_), 0) => Err(format!(
            "`{name}` has no running_mean and running_var, and {} is a batch normalisation: save it with \
             track_running_stats=True, or take layer-norm or group-norm",
            map.name
        )),
        (MapKind::BatchNorm(_), count) if count == 2 * channels => {
            let tensor = Tensor { shape: vec![2, channels], values: layer.running.clone() };
            Ok(Some((batch_norm::running_name(&map.name), tensor)))
        }
        (MapKind::BatchNorm(_), count) => Err(format!(
            "`{name}` has running moments of {count} numbers, and {} wants a running_mean and a running_var of {channels} each",
            map.name
        )),
        (_, 0) => Ok(None),
        _ => Err(format!(
            "`{name}` is a batch normalisation, and in its place the model has {}: say `batch-norm` there",
            map.name
        )),
    }
}

/// What a map of the house is outside.
fn form(map: &Map) -> Form {
    match map.kind {
        MapKind::Dense { .. } | MapKind::Pixels(_) => Form::Dense,
        MapKind::Conv(window) if window.up => Form::ConvTranspose(window.kernel),
        MapKind::Conv(window) | MapKind::Depthwise(window) => Form::Conv(window.kernel),
        MapKind::Norm { .. } | MapKind::PixelNorm(_) | MapKind::BatchNorm(_) => Form::Norm,
        MapKind::Positions => Form::Positions,
    }
}

/// Where in the tensor of the house the weights stand that PyTorch has one after the other, of a map of so many outputs.
fn places(map: &Map, outputs: usize) -> impl Iterator<Item = usize> + use<> {
    let Map { kind, inputs, outputs: wide, .. } = *map;
    let taps = map.taps();
    let count = if kind.is_norm() { outputs } else { taps * inputs * outputs };
    (0..count).map(move |i| {
        let (tap, input, output) = match kind {
            MapKind::Dense { from, to } => (0, inside(from, i % inputs), inside(to, i / inputs)),
            MapKind::Conv(window) if window.up => (i % taps, i / taps / outputs, i / taps % outputs),
            MapKind::Conv(_) | MapKind::Depthwise(_) => (i % taps, i / taps % inputs, i / taps / inputs),
            MapKind::Pixels(_) => (0, i % inputs, i / inputs),
            MapKind::Norm { .. } | MapKind::PixelNorm(_) | MapKind::BatchNorm(_) => (0, 0, i),
            MapKind::Positions => (0, i / outputs, i % outputs),
        };
        (tap * inputs + input) * wide + output
    })
}

/// Where in the row of biases that of an output stands.
fn bias_place(map: &Map, output: usize) -> usize {
    match map.kind {
        MapKind::Dense { to, .. } => inside(to, output),
        _ => output,
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
    use crate::graph::ConvGeometry;

    #[test]
    fn heads_that_stand_side_by_side_come_apart_and_together_again() {
        let tensor = Tensor { shape: vec![3, 4], values: (0..12).map(|i| i as f32).collect() };
        let map = Map { name: "head".into(), inputs: 2, outputs: 4, kind: MapKind::Dense { from: None, to: None } };
        let maps = split(&["a".into(), "b".into()], &map, &tensor).unwrap();
        assert_eq!((maps[0].inputs, maps[0].outputs), (2, 2));
        assert_eq!((&maps[0].weight[..], &maps[0].bias[..]), (&[0.0, 4.0, 1.0, 5.0][..], &[8.0, 9.0][..]));
        assert_eq!((&maps[1].weight[..], &maps[1].bias[..]), (&[2.0, 6.0, 3.0, 7.0][..], &[10.0, 11.0][..]));
        assert_eq!(join(&maps.iter().collect::<Vec<_>>()), tensor);
        assert_eq!(together(&map, &maps.iter().collect::<Vec<_>>()).unwrap(), tensor);
        assert!(together(&map, &[&maps[0]]).unwrap_err().contains("`a` has a weight [2, 2] and a bias [2]"));
        let scalar = Tensor { shape: vec![], values: vec![0.0] };
        assert!(split(&["a".into()], &map, &scalar).is_err());
    }

    #[test]
    fn running_moments_go_with_a_batch_normalisation_alone() {
        let map = |kind| Map { name: "norm".into(), inputs: 2, outputs: 2, kind };
        let layer = |running: &[f32]| Linear {
            name: "a".into(),
            inputs: 2,
            outputs: 2,
            form: Form::Norm,
            weight: vec![1.0; 2],
            bias: vec![0.0; 2],
            running: running.to_vec(),
        };
        let (batch, of_one) = (map(MapKind::BatchNorm(1)), map(MapKind::PixelNorm(3)));
        let (name, found) = running(&batch, &layer(&[1.0, 2.0, 3.0, 4.0])).unwrap().unwrap();
        assert_eq!((&name[..], found.shape, found.values), ("running.norm", vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]));
        assert_eq!(running(&of_one, &layer(&[])), Ok(None));
        assert!(running(&batch, &layer(&[])).unwrap_err().contains("has no running_mean and running_var"));
        assert!(
            running(&batch, &layer(&[1.0; 6]))
                .unwrap_err()
                .contains("of 6 numbers, and norm wants a running_mean and a running_var of 2 each")
        );
        assert!(running(&of_one, &layer(&[1.0; 4])).unwrap_err().contains("say `batch-norm` there"));
    }

    #[test]
    fn convolutions_and_images_are_put_in_the_order_of_pytorch() {
        let values = |map: &Map| {
            let shape = map.shape().extents().to_vec();
            Tensor { values: (0..shape.iter().product()).map(|i: usize| i as f32).collect(), shape }
        };
        let weight = |map: &Map| {
            let outside = split(&["a".into()], map, &values(map)).unwrap().remove(0);
            assert_eq!(together(map, &[&outside]).unwrap(), values(map), "the way back");
            let bare = together(map, &[&Linear { bias: vec![], ..outside.clone() }]).unwrap().values;
            let (weights, bias) = bare.split_at(bare.len() - map.outputs);
            assert_eq!((weights, bias), (&values(map).values[..weights.len()], &vec![0.0; map.outputs][..]), "no bias");
            outside
        };
        let (name, inputs, outputs) = (String::new(), 2, 3);
        let down = ConvGeometry::down([4, 4], 2, 2, 0).unwrap();
        let conv = Map { name: name.clone(), inputs, outputs, kind: MapKind::Conv(down) };
        let found = weight(&conv);
        assert_eq!((found.shape(), &found.weight[..5]), (vec![3, 2, 2, 2], &[0.0, 6.0, 12.0, 18.0, 3.0][..]));
        assert_eq!(found.bias, [24.0, 25.0, 26.0]);
        let up = Map { kind: MapKind::Conv(ConvGeometry { up: true, ..down }), ..conv };
        let found = weight(&up);
        assert_eq!((found.shape(), &found.weight[..5]), (vec![2, 3, 2, 2], &[0.0, 6.0, 12.0, 18.0, 1.0][..]));
        let pixels = Map { kind: MapKind::Pixels(4), ..up.clone() };
        let found = weight(&pixels);
        assert_eq!((found.shape(), &found.weight[..3]), (vec![3, 2], &[0.0, 3.0, 1.0][..]));
        let positions = Map { kind: MapKind::Positions, ..up.clone() };
        let found = split(&["a".into()], &positions, &values(&positions)).unwrap().remove(0);
        assert_eq!((found.shape(), found.bias.len(), found.weight[3]), (vec![2, 3], 0, 3.0));
        assert_eq!(together(&positions, &[&found]).unwrap(), values(&positions), "the way back");
        let biased = Linear { bias: vec![1.0, 0.0], form: Form::Dense, inputs: 3, outputs: 2, ..found };
        assert!(together(&positions, &[&biased]).unwrap_err().contains("wants positions [2, 3] without a bias"));
        let norm = Map { inputs: 3, kind: MapKind::Norm { groups: 1, pixels: 4 }, ..up };
        let found = weight(&norm);
        assert_eq!((found.shape(), found.weight, found.bias), (vec![3], vec![0.0, 1.0, 2.0], vec![3.0, 4.0, 5.0]));
        // Two pixels of two channels become three numbers, and these an image of one pixel.
        let kind = MapKind::Dense { from: Some([2, 1, 2]), to: Some([1, 1, 3]) };
        let found = weight(&Map { name, inputs: 4, outputs: 3, kind });
        assert_eq!((found.shape(), &found.weight[..4]), (vec![3, 4], &[0.0, 6.0, 3.0, 9.0][..]));
        // What is told beside the image, one of three classes, stays behind it.
        let kind = MapKind::Dense { from: Some([2, 1, 2]), to: None };
        let found = weight(&Map { name: String::new(), inputs: 7, outputs: 1, kind });
        assert_eq!((found.weight, found.bias), (vec![0.0, 2.0, 1.0, 3.0, 4.0, 5.0, 6.0], vec![7.0]));
        let kind = MapKind::Dense { from: None, to: Some([2, 1, 2]) };
        let found = weight(&Map { name: String::new(), inputs: 1, outputs: 4, kind });
        assert_eq!((found.weight, found.bias), (vec![0.0, 2.0, 1.0, 3.0], vec![4.0, 6.0, 5.0, 7.0]));
    }
}
