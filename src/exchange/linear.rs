//! Affine maps as PyTorch's `Linear` has them, and as they stand in the house.

use crate::checkpoint::Tensor;
use crate::error::{Error, Result};

/// y = W·x + b.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// Its name outside: `encoder.mean`.
    pub name: String,
    /// Numbers that it takes.
    pub inputs: usize,
    /// Numbers that it gives.
    pub outputs: usize,
    /// W, [outputs, inputs].
    pub weight: Vec<f32>,
    /// b, [outputs].
    pub bias: Vec<f32>,
}

/// The maps of these names that stand side by side in a tensor [inputs + 1, outputs of all].
pub fn split(names: &[String], tensor: &Tensor) -> Result<Vec<Linear>> {
    let [rows, columns] = tensor.shape[..] else {
        return Err(Error::Bug(format!("{}: {:?} is no shape of an affine map", names.join(", "), tensor.shape)));
    };
    let (inputs, outputs) = (rows - 1, columns / names.len());
    let map = |(at, name): (usize, &String)| {
        let value = |row: usize, output: usize| tensor.values[row * columns + at * outputs + output];
        Linear {
            name: name.clone(),
            inputs,
            outputs,
            weight: (0..outputs * inputs).map(|i| value(i % inputs, i / inputs)).collect(),
            bias: (0..outputs).map(|output| value(inputs, output)).collect(),
        }
    };
    Ok(names.iter().enumerate().map(map).collect())
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

    #[test]
    fn heads_that_stand_side_by_side_come_apart_and_together_again() {
        let tensor = Tensor { shape: vec![3, 4], values: (0..12).map(|i| i as f32).collect() };
        let maps = split(&["a".into(), "b".into()], &tensor).unwrap();
        assert_eq!((maps[0].inputs, maps[0].outputs), (2, 2));
        assert_eq!((&maps[0].weight[..], &maps[0].bias[..]), (&[0.0, 4.0, 1.0, 5.0][..], &[8.0, 9.0][..]));
        assert_eq!((&maps[1].weight[..], &maps[1].bias[..]), (&[2.0, 6.0, 3.0, 7.0][..], &[10.0, 11.0][..]));
        assert_eq!(join(&maps.iter().collect::<Vec<_>>()), tensor);
        let scalar = Tensor { shape: vec![], values: vec![0.0] };
        assert!(split(&["a".into()], &scalar).is_err());
    }
}
