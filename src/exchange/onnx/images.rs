//! Convolutions in ONNX, whose images lie one plane after the other, [batch, channels, height, width]. In the house they
//! lie with their channels side by side: tensors are turned where an image meets something else.

use super::{File, INITIALIZER, NODE, Stored, proto};
use crate::error::{Error, Result};
use crate::exchange::linear;
use crate::graph::{Id, Op, Window};

/// How a node's tensor lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// As in the house: [batch, numbers], the channels of an image side by side in each pixel.
    Flat,
    /// [batch, numbers], an image as one plane after the other; so many planes.
    Planes(usize),
    /// [batch, channels, height, width].
    Image([usize; 3]),
}

impl File<'_> {
    /// The tensor of a node as the house has it.
    pub(super) fn flat(&mut self, id: Id) -> String {
        let Stored { name, layout } = self.names[id.0 as usize].clone();
        let width = self.graph.shape(id).columns();
        let (planes, turned, flat) = (
            format!("{name}.planes"),
            format!("{name}.turned{}", self.parts.len()),
            format!("{name}.flat{}", self.parts.len()),
        );
        match layout {
            Layout::Flat => return name,
            Layout::Planes(channels) => {
                self.reshape(&name, &[channels, width / channels], &planes);
                self.transpose(&planes, &[0, 2, 1], &turned);
            }
            Layout::Image(_) => self.transpose(&name, &[0, 2, 3, 1], &turned),
        }
        self.reshape(&turned, &[width], &flat);
        flat
    }

    /// The tensor of a node as images of this size.
    fn image(&mut self, id: Id, [height, width]: [usize; 2]) -> String {
        let Stored { name, layout } = self.names[id.0 as usize].clone();
        let channels = self.graph.shape(id).columns() / (height * width);
        let image = format!("{name}.image");
        match layout {
            Layout::Image(_) => return name,
            Layout::Flat if channels > 1 => {
                let pixels = format!("{name}.pixels");
                self.reshape(&name, &[height, width, channels], &pixels);
                self.transpose(&pixels, &[0, 3, 1, 2], &image);
            }
            Layout::Flat | Layout::Planes(_) => self.reshape(&name, &[channels, height, width], &image),
        }
        image
    }

    /// A convolution or a transposed one; what is wanted as an output lies as in the house.
    pub(super) fn conv(&mut self, [x, w]: [Id; 2], window: Window, name: String, is_output: bool) -> Result<Stored> {
        let Op::Parameter { index } = *self.graph.op(w) else {
            return Err(Error::Bug("a convolution has a parameter for its weights".into()));
        };
        let parameter = self.graph.parameters[index].name.clone();
        let map = self.maps.iter().find(|map| map.name == parameter);
        let tensor = self.checkpoint.parameters.iter().find(|(name, _)| *name == parameter);
        let (Some(map), Some((_, tensor))) = (map, tensor) else {
            return Err(Error::Data(format!("the checkpoint has no parameter `{parameter}`")));
        };
        let parts = linear::split(std::slice::from_ref(&parameter), map, tensor)?;
        let [weight, bias] = ["weight", "bias"].map(|kind| format!("{parameter}.{kind}"));
        for part in &parts {
            self.part(INITIALIZER, proto::floats(&weight, &part.shape(), &part.weight));
            self.part(INITIALIZER, proto::floats(&bias, &[part.outputs], &part.bias));
        }
        let x = self.image(x, window.source());
        let Window { fine, coarse, kernel, stride, padding, up } = window;
        let mut attributes = vec![
            proto::list("kernel_shape", &[kernel; 2]),
            proto::list("pads", &[padding; 4]),
            proto::list("strides", &[stride; 2]),
        ];
        if up {
            let more = [0, 1].map(|side| fine[side] + 2 * padding - (coarse[side] - 1) * stride - kernel);
            attributes.push(proto::list("output_padding", &more));
        }
        let made = if is_output { format!("{name}.image") } else { name.clone() };
        let op = if up { "ConvTranspose" } else { "Conv" };
        self.part(NODE, proto::node(op, &made, &[&x, &weight, &bias], &[&made], attributes));
        let [height, width] = window.made();
        let channels = parts.iter().map(|part| part.outputs).sum();
        if !is_output {
            return Ok(Stored { name, layout: Layout::Image([channels, height, width]) });
        }
        let turned = format!("{name}.turned");
        self.transpose(&made, &[0, 2, 3, 1], &turned);
        self.reshape(&turned, &[channels * height * width], &name);
        Ok(Stored { name, layout: Layout::Flat })
    }

    /// From planes to pixels, which is for whoever reads them to do, or back.
    pub(super) fn planes(&mut self, x: Id, channels: usize, to_pixels: bool, name: String) -> Stored {
        let width = self.graph.shape(x).columns();
        if to_pixels {
            return Stored { name: self.flat(x), layout: Layout::Planes(channels) };
        }
        let stored = self.names[x.0 as usize].clone();
        if let Layout::Image(_) = stored.layout {
            self.reshape(&stored.name, &[width], &name);
        } else {
            let (pixels, turned, flat) = (format!("{name}.pixels"), format!("{name}.turned"), self.flat(x));
            self.reshape(&flat, &[width / channels, channels], &pixels);
            self.transpose(&pixels, &[0, 2, 1], &turned);
            self.reshape(&turned, &[width], &name);
        }
        Stored { name, layout: Layout::Flat }
    }

    /// The same numbers in other extents, behind that of the batch.
    fn reshape(&mut self, x: &str, extents: &[usize], name: &str) {
        let shape = format!("{name}.shape");
        let extents: Vec<i64> = std::iter::once(-1).chain(extents.iter().map(|&n| n as i64)).collect();
        self.part(INITIALIZER, proto::integers(&shape, &extents));
        self.node("Reshape", &[x, &shape], &[name]);
    }

    fn transpose(&mut self, x: &str, order: &[usize], name: &str) {
        self.part(NODE, proto::node("Transpose", name, &[x], &[name], vec![proto::list("perm", order)]));
    }
}
