//! Convolutions and what surrounds them in ONNX, whose images lie one plane after the other, [batch, channels, height, width]. In the house they
//! lie with their channels side by side: tensors are turned where an image meets something else.

use super::{File, INITIALIZER, NODE, Stored, proto};
use crate::error::{Error, Result};
use crate::graph::conv_geometry::pixels;
use crate::graph::{ConvGeometry, Id, Op};
use crate::interop::linear::{self, Linear};

/// How a node's tensor lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// As in the house: [batch, numbers], the channels of an image side by side in each pixel.
    Flat,
    /// [batch, numbers], an image as one plane after the other; so many planes.
    NchwNhwc(usize),
    /// [batch, channels, height, width].
    Image([usize; 3]),
}

impl File<'_> {
    /// The tensor of a node as the house has it.
    pub(super) fn flat(&mut self, id: Id) -> String {
        let Stored { name, layout } = self.names[id.0 as usize].clone();
        let width = self.graph.shape(id).columns();
        // A tensor may be wanted so several times.
        let [planes, turned, flat] =
            ["planes", "turned", "flat"].map(|what| format!("{name}.{what}{}", self.parts.len()));
        match layout {
            Layout::Flat => return name,
            Layout::NchwNhwc(channels) => {
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
        let image = format!("{name}.image{}", self.parts.len());
        match layout {
            Layout::Image(_) => return name,
            Layout::Flat if channels > 1 => {
                let pixels = format!("{name}.pixels{}", self.parts.len());
                self.reshape(&name, &[height, width, channels], &pixels);
                self.transpose(&pixels, &[0, 3, 1, 2], &image);
            }
            Layout::Flat | Layout::NchwNhwc(_) => self.reshape(&name, &[channels, height, width], &image),
        }
        image
    }

    /// A convolution or a transposed one, where `alone` of each channel by itself; what is wanted as an output lies as in the house.
    pub(super) fn conv(
        &mut self,
        [x, w]: [Id; 2],
        (window, alone): (ConvGeometry, bool),
        name: String,
        is_output: bool,
    ) -> Result<Stored> {
        let map = self.map(w)?;
        let [weight, bias] = ["weight", "bias"].map(|kind| format!("{}.{kind}", map.name));
        self.part(INITIALIZER, proto::floats(&weight, &map.shape(), &map.weight));
        self.part(INITIALIZER, proto::floats(&bias, &[map.outputs], &map.bias));
        let channels = map.outputs;
        let x = self.image(x, window.source());
        let ConvGeometry { kernel, stride, padding, up, .. } = window;
        let mut attributes = vec![
            proto::list("kernel_shape", &[kernel; 2]),
            proto::list("pads", &[padding; 4]),
            proto::list("strides", &[stride; 2]),
        ];
        if alone {
            attributes.push(proto::attribute("group", channels as u64));
        }
        if up {
            attributes.push(proto::list("output_padding", &window.more()));
        }
        let made = if is_output { format!("{name}.image") } else { name.clone() };
        let op = if up { "ConvTranspose" } else { "Conv" };
        self.part(NODE, proto::node(op, &made, &[&x, &weight, &bias], &[&made], attributes));
        let [height, width] = window.made();
        if !is_output {
            return Ok(Stored { name, layout: Layout::Image([channels, height, width]) });
        }
        let turned = format!("{name}.turned");
        self.transpose(&made, &[0, 2, 3, 1], &turned);
        self.reshape(&turned, &[channels * height * width], &name);
        Ok(Stored { name, layout: Layout::Flat })
    }

    /// The map of a parameter, as PyTorch has it.
    fn map(&self, w: Id) -> Result<Linear> {
        let Op::Parameter { index } = *self.graph.op(w) else {
            return Err(Error::Bug("a map has a parameter for its weights".into()));
        };
        let parameter = &self.graph.parameters[index].name;
        let map = self.maps.iter().find(|map| map.name == *parameter);
        let tensor = self.checkpoint.parameters.iter().find(|(name, _)| name == parameter);
        let (Some(map), Some((_, tensor))) = (map, tensor) else {
            return Err(Error::Data(format!("the checkpoint has no parameter `{parameter}`")));
        };
        Ok(linear::split(std::slice::from_ref(parameter), map, tensor)?.remove(0))
    }

    /// Means of neighbouring pixels, or pixels that are repeated: `Resize` takes the nearest unless it is told otherwise.
    pub(super) fn pool(&mut self, x: Id, window: ConvGeometry, name: String) -> Stored {
        let channels = self.graph.shape(x).columns() / pixels(window.source());
        let x = self.image(x, window.source());
        if window.up {
            let scales = format!("{name}.scales");
            let factor = window.stride as f32;
            self.part(INITIALIZER, proto::floats(&scales, &[4], &[1.0, 1.0, factor, factor]));
            self.node("Resize", &[&x, "", &scales], &[&name]);
        } else {
            let attributes =
                vec![proto::list("kernel_shape", &[window.kernel; 2]), proto::list("strides", &[window.stride; 2])];
            self.part(NODE, proto::node("AveragePool", &name, &[&x], &[&name], attributes));
        }
        let [height, width] = window.made();
        Stored { name, layout: Layout::Image([channels, height, width]) }
    }

    /// Group normalisation: the set of operations has that of single channels, which a group becomes for its sake.
    pub(super) fn group_norm(&mut self, [x, w, moments]: [Id; 3], name: String) -> Result<Stored> {
        let (groups, width) = (self.graph.shape(moments).columns() / 2, self.graph.shape(x).columns());
        let map = self.map(w)?;
        let channels = map.outputs;
        let layout = match self.names[x.0 as usize].layout {
            Layout::Image(image) => Layout::Image(image),
            Layout::Flat | Layout::NchwNhwc(_) if width == channels => Layout::Flat,
            Layout::Flat | Layout::NchwNhwc(_) => Layout::NchwNhwc(channels),
        };
        let planes = self.planar(x, channels);
        let part = |what: &str| format!("{name}.{what}");
        self.reshape(&planes, &[groups, width / groups], &part("groups"));
        self.part(INITIALIZER, proto::floats(&part("ones"), &[groups], &vec![1.0; groups]));
        self.part(INITIALIZER, proto::floats(&part("zeros"), &[groups], &vec![0.0; groups]));
        let normal = [part("groups"), part("ones"), part("zeros")];
        self.node("InstanceNormalization", &normal.each_ref().map(String::as_str), &[&part("normal")]);
        self.reshape(&part("normal"), &[channels, width / channels], &part("channels"));
        // A number for each channel, whatever its pixels.
        let [scale, shift] = ["weight", "bias"].map(|kind| format!("{}.{kind}", map.name));
        self.part(INITIALIZER, proto::floats(&scale, &[channels, 1], &map.weight));
        self.part(INITIALIZER, proto::floats(&shift, &[channels, 1], &map.bias));
        self.node("Mul", &[&part("channels"), &scale], &[&part("scaled")]);
        self.node("Add", &[&part("scaled"), &shift], &[&part("shifted")]);
        match layout {
            Layout::Image(image) => self.reshape(&part("shifted"), &image, &name),
            Layout::Flat | Layout::NchwNhwc(_) => self.reshape(&part("shifted"), &[width], &name),
        }
        Ok(Stored { name, layout })
    }

    /// The tensor of a node one plane after the other, in whatever extents.
    fn planar(&mut self, id: Id, channels: usize) -> String {
        let Stored { name, layout } = self.names[id.0 as usize].clone();
        let width = self.graph.shape(id).columns();
        if layout != Layout::Flat || width == channels {
            return name;
        }
        let [pixels, turned] = ["pixels", "planes"].map(|what| format!("{name}.{what}{}", self.parts.len()));
        self.reshape(&name, &[width / channels, channels], &pixels);
        self.transpose(&pixels, &[0, 2, 1], &turned);
        turned
    }

    /// The sum of two tensors, which lie alike or are made to.
    pub(super) fn add(&mut self, a: Id, b: Id, name: String) -> Stored {
        let [first, second] = [a, b].map(|id| self.names[id.0 as usize].clone());
        if first.layout == second.layout {
            self.node("Add", &[&first.name, &second.name], &[&name]);
            return Stored { name, layout: first.layout };
        }
        let [first, second] = [a, b].map(|id| self.flat(id));
        self.node("Add", &[&first, &second], &[&name]);
        Stored { name, layout: Layout::Flat }
    }

    /// From planes to pixels, which is for whoever reads them to do, or back.
    pub(super) fn planes(&mut self, x: Id, channels: usize, to_pixels: bool, name: String) -> Stored {
        let width = self.graph.shape(x).columns();
        if to_pixels {
            return Stored { name: self.flat(x), layout: Layout::NchwNhwc(channels) };
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
    pub(super) fn reshape(&mut self, x: &str, extents: &[usize], name: &str) {
        let shape = format!("{name}.shape");
        let extents: Vec<i64> = std::iter::once(-1).chain(extents.iter().map(|&n| n as i64)).collect();
        self.part(INITIALIZER, proto::integers(&shape, &extents));
        self.node("Reshape", &[x, &shape], &[name]);
    }

    pub(super) fn transpose(&mut self, x: &str, order: &[usize], name: &str) {
        self.part(NODE, proto::node("Transpose", name, &[x], &[name], vec![proto::list("perm", order)]));
    }
}
