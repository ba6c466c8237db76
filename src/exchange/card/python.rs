//! Networks as lines of PyTorch.

use crate::config::Activation;
use crate::graph::Window;
use crate::model::network::{Kind, Map, Step};
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
        let mut body = Self { lines: String::new(), head: x.to_owned() };
        let mut image = false;
        for (at, step) in steps.iter().enumerate() {
            match step {
                Step::Map(map) => {
                    let takes_image = matches!(map.kind, Kind::Conv(_));
                    if let (true, false, Some([channels, height, width])) = (takes_image, image, data) {
                        body.line(&format!("{x} = {x}.reshape(-1, {channels}, {height}, {width})"));
                    }
                    if image && !takes_image {
                        body.line(&format!("{x} = {x}.flatten(1)"));
                    }
                    let text = call(map, x);
                    if Some(at) == last {
                        body.head = if takes_image { format!("{text}.flatten(1)") } else { text };
                        break;
                    }
                    body.line(&format!("{x} = {}", text.replace("NAME", &map.name)));
                    image = takes_image;
                    if let Kind::Dense { to: Some([height, width, channels]), .. } = map.kind {
                        body.line(&format!("{x} = {x}.unflatten(1, ({channels}, {height}, {width}))"));
                        image = true;
                    }
                }
                Step::Activation(kind) => body.line(&format!("{x} = {}", activation(*kind, x))),
                Step::Class(classes) => {
                    if image {
                        body.line(&format!("{x} = {x}.flatten(1)"));
                        image = false;
                    }
                    body.line(&format!("{x} = torch.cat([{x}, F.one_hot(y, {classes}).float()], 1)"));
                }
                // Images lie there as data do.
                Step::Planes { .. } => {}
            }
        }
        body
    }

    /// The last map under the name of one of its heads.
    pub fn head(&self, name: &str) -> String {
        self.head.replace("NAME", name)
    }

    fn line(&mut self, text: &str) {
        let _ = writeln!(self.lines, "    {text}");
    }
}

fn call(map: &Map, x: &str) -> String {
    match map.kind {
        Kind::Dense { .. } => format!("F.linear({x}, *parameters(\"NAME\"))"),
        Kind::Conv(Window { fine, coarse, kernel, stride, padding, up }) => {
            let more = if up {
                let more = [0, 1].map(|side| fine[side] + 2 * padding - (coarse[side] - 1) * stride - kernel);
                format!(", output_padding=({}, {})", more[0], more[1])
            } else {
                String::new()
            };
            let function = if up { "conv_transpose2d" } else { "conv2d" };
            format!("F.{function}({x}, *parameters(\"NAME\"), stride={stride}, padding={padding}{more})")
        }
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
        Activation::Softplus => format!("F.softplus({x})"),
    }
}
