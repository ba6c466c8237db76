//! Networks as lines of PyTorch.

use crate::config::Activation;
use crate::graph::ConvGeometry;
use crate::model::network::{Map, MapKind, Step};
use std::fmt::Write;

/// A network as the body of a function, without its last map.
pub(super) struct Body {
    /// The lines.
    pub lines: String,
    /// The last map, with `NAME` for its name: it may stand for several heads.
    head: String,
}

impl Body {
    /// The body of a function of `x`; `data` are channels, height and width of what it is given, if it is data.
    pub fn of(steps: &[Step], x: &str, data: Option<[usize; 3]>) -> Self {
        let last = steps.iter().rposition(|step| matches!(step, Step::Map(_)));
        let mut layout = Layout::of(data);
        Self::walked(steps, x, last, &mut layout)
    }

    /// Lines that change `x`, which lies as `layout` says, and how it lies then.
    pub fn through(steps: &[Step], x: &str, layout: &mut Layout) -> String {
        Self::walked(steps, x, None, layout).lines
    }

    /// The same of a network whose last map has heads; `x` is an image.
    pub fn of_image(steps: &[Step], x: &str) -> Self {
        let last = steps.iter().rposition(|step| matches!(step, Step::Map(_)));
        Self::walked(steps, x, last, &mut Layout::Image)
    }

    /// The lines of steps; the one at `last` is kept for its heads, and ends them.
    fn walked(steps: &[Step], x: &str, last: Option<usize>, layout: &mut Layout) -> Self {
        let mut body = Self { lines: String::new(), head: x.to_owned() };
        // What each block that has begun keeps: `kept`, within it `kept2`.
        let mut begun = 0;
        let kept = |begun: usize| if begun == 1 { "kept".to_owned() } else { format!("kept{begun}") };
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Map(map) if Some(at) == last => {
                    body.turn(x, layout, wants_image(map.kind));
                    let flat = if wants_image(map.kind) == Some(true) { ".flatten(1)" } else { "" };
                    body.head = call(map, x) + flat;
                    break;
                }
                Step::Map(map) => {
                    body.turn(x, layout, wants_image(map.kind));
                    body.line(&format!("{x} = {}", named(map, x)));
                    if let MapKind::Dense { to, .. } = map.kind {
                        *layout = Layout::Numbers;
                        if let Some([height, width, channels]) = to {
                            body.line(&format!("{x} = {x}.unflatten(1, ({channels}, {height}, {width}))"));
                            *layout = Layout::Image;
                        }
                    }
                }
                Step::Activation(kind) => body.line(&format!("{x} = {}", activation(*kind, x))),
                Step::LeakyRelu(slope) => body.line(&format!("{x} = F.leaky_relu({x}, {slope})")),
                Step::Class(classes) => {
                    body.turn(x, layout, Some(false));
                    body.line(&format!("{x} = torch.cat([{x}, F.one_hot(y, {classes}).float()], 1)"));
                }
                Step::Pool(window) => {
                    body.turn(x, layout, Some(true));
                    body.line(&format!("{x} = {}", pool(window, x)));
                }
                Step::Attention { heads, .. } => {
                    body.line(&format!(
                        "q, k, v = (part.unflatten(1, ({heads}, -1)).flatten(3).transpose(2, 3) for part in {x}.chunk(3, 1))"
                    ));
                    let seen = "F.scaled_dot_product_attention(q, k, v).transpose(2, 3)";
                    body.line(&format!("{x} = {seen}.reshape(len({x}), -1, *{x}.shape[2:])"));
                }
                Step::Begin(skip) => {
                    // What is kept has to lie as what is added to it.
                    let images = matches!(*layout, Layout::Data(_));
                    body.turn(x, layout, images.then_some(true));
                    begun += 1;
                    let of = skip.as_ref().map_or(x.to_owned(), |skip| named(skip, x));
                    body.line(&format!("{} = {of}", kept(begun)));
                }
                Step::End => {
                    body.line(&format!("{x} = {} + {x}", kept(begun)));
                    begun -= 1;
                }
                Step::Squeeze(_) => {
                    body.turn(x, layout, Some(true));
                    body.line(&format!("squeezed = {x}"));
                    body.line(&format!("{x} = {x}.mean((2, 3))"));
                    *layout = Layout::Numbers;
                }
                Step::Excite(_) => {
                    body.line(&format!("{x} = squeezed * {x}.unflatten(1, (-1, 1, 1))"));
                    *layout = Layout::Image;
                }
                // Images lie there as data do, and whoever runs these lines does not train.
                Step::NchwNhwc { .. } | Step::Dropout(_) => {}
            }
        }
        body
    }

    /// Makes images of data or numbers of images, where the next map wants them.
    fn turn(&mut self, x: &str, layout: &mut Layout, image: Option<bool>) {
        match (*layout, image) {
            (Layout::Data([channels, height, width]), Some(true)) => {
                self.line(&format!("{x} = {x}.reshape(-1, {channels}, {height}, {width})"));
                *layout = Layout::Image;
            }
            (Layout::Image, Some(false)) => {
                self.line(&format!("{x} = {x}.flatten(1)"));
                *layout = Layout::Numbers;
            }
            _ => {}
        }
    }

    /// The last map under the name of one of its heads.
    pub fn head(&self, name: &str) -> String {
        self.head.replace("NAME", name)
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.lines, "    {text}");
    }
}

/// How the numbers of an example lie.
#[derive(Debug, Clone, Copy)]
pub(super) enum Layout {
    /// In a row, and they are images: channels, height, width.
    Data([usize; 3]),
    /// In a row.
    Numbers,
    /// [channels, height, width].
    Image,
}

impl Layout {
    /// Of data of these channels, height and width, or of numbers.
    pub fn of(data: Option<[usize; 3]>) -> Self {
        match data {
            Some([_, 1, _]) | None => Self::Numbers,
            Some(shape) => Self::Data(shape),
        }
    }
}

/// Whether a map wants images or numbers; one pixel is normalised as either.
fn wants_image(kind: MapKind) -> Option<bool> {
    match kind {
        MapKind::Dense { .. } => Some(false),
        MapKind::Conv(_) | MapKind::Depthwise(_) | MapKind::Pixels(_) | MapKind::PixelNorm(_) | MapKind::Positions => {
            Some(true)
        }
        MapKind::Norm { pixels, .. } | MapKind::BatchNorm(pixels) => (pixels > 1).then_some(true),
    }
}

/// A map under its own name.
fn named(map: &Map, x: &str) -> String {
    call(map, x).replace("NAME", &map.name)
}

fn call(map: &Map, x: &str) -> String {
    match map.kind {
        MapKind::Dense { .. } => format!("F.linear({x}, *parameters(\"NAME\"))"),
        MapKind::Conv(window) => {
            let ConvGeometry { stride, padding, up, .. } = window;
            let more = if up {
                let [high, wide] = window.more();
                format!(", output_padding=({high}, {wide})")
            } else {
                String::new()
            };
            let function = if up { "conv_transpose2d" } else { "conv2d" };
            format!("F.{function}({x}, *parameters(\"NAME\"), stride={stride}, padding={padding}{more})")
        }
        MapKind::Depthwise(ConvGeometry { stride, padding, .. }) => {
            let groups = map.outputs;
            format!("F.conv2d({x}, *parameters(\"NAME\"), stride={stride}, padding={padding}, groups={groups})")
        }
        // With one group it is layer normalisation.
        MapKind::Norm { groups, .. } => format!("F.group_norm({x}, {groups}, *parameters(\"NAME\"))"),
        MapKind::Pixels(_) => format!("F.linear({x}.movedim(1, -1), *parameters(\"NAME\")).movedim(-1, 1)"),
        MapKind::PixelNorm(_) => {
            format!("F.layer_norm({x}.movedim(1, -1), {x}.shape[1:2], *parameters(\"NAME\")).movedim(-1, 1)")
        }
        MapKind::BatchNorm(_) => {
            let moments = "tensors[\"NAME.running_mean\"], tensors[\"NAME.running_var\"]";
            format!("F.batch_norm({x}, {moments}, *parameters(\"NAME\"))")
        }
        MapKind::Positions => format!("{x} + tensors[\"NAME.weight\"].T.unflatten(1, {x}.shape[2:])"),
    }
}

fn pool(window: &ConvGeometry, x: &str) -> String {
    let ConvGeometry { kernel, stride, up, .. } = window;
    if *up {
        format!("F.interpolate({x}, scale_factor={stride}, mode=\"nearest\")")
    } else {
        format!("F.avg_pool2d({x}, {kernel}, stride={stride})")
    }
}

fn activation(kind: Activation, x: &str) -> String {
    match kind {
        Activation::Identity => x.to_owned(),
        Activation::Relu => format!("F.relu({x})"),
        Activation::Tanh => format!("torch.tanh({x})"),
        Activation::Sigmoid => format!("torch.sigmoid({x})"),
        Activation::Silu => format!("F.silu({x})"),
        Activation::Gelu => format!("F.gelu({x}, approximate=\"tanh\")"),
        Activation::GeluErf => format!("F.gelu({x})"),
        Activation::Softplus => format!("F.softplus({x})"),
    }
}
