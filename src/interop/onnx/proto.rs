//! The few messages of ONNX that a network needs, in the wire format of protocol buffers.
//!
//! A message is a list of fields: a number with a wire type, then a varint, or a
//! length and as many bytes.
//! Field numbers are those of `onnx.proto` (ONNX 1.12, opset 17).

/// A message under construction.
#[derive(Debug, Clone, Default)]
pub struct Message(Vec<u8>);

impl Message {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Its bytes.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }

    /// A whole number; negative ones do not occur.
    pub fn int(mut self, field: u64, value: u64) -> Self {
        self.varint(field << 3);
        self.varint(value);
        self
    }

    /// Bytes or text.
    pub fn blob(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend(value);
        self
    }

    /// Text.
    pub fn text(self, field: u64, value: &str) -> Self {
        self.blob(field, value.as_bytes())
    }

    /// Several texts, each a field of its own.
    pub fn texts(self, field: u64, values: &[&str]) -> Self {
        values.iter().fold(self, |message, value| message.text(field, value))
    }

    /// A message within this one.
    pub fn message(self, field: u64, value: &Message) -> Self {
        self.blob(field, &value.0)
    }

    /// Seven bits to a byte, the lowest first; the eighth says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// `TensorProto.DataType` of f32.
const FLOAT: u64 = 1;
/// `TensorProto.DataType` of i64.
const INT64: u64 = 7;

/// `TensorProto`: a constant of floats.
pub fn floats(name: &str, shape: &[usize], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, shape, FLOAT, &raw)
}

/// `TensorProto`: a constant list of whole numbers.
pub fn integers(name: &str, values: &[i64]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, &[values.len()], INT64, &raw)
}

fn tensor(name: &str, shape: &[usize], kind: u64, raw: &[u8]) -> Message {
    let dims = shape.iter().fold(Message::new(), |message, &n| message.int(1, n as u64));
    dims.int(2, kind).text(8, name).blob(9, raw)
}

/// `NodeProto`: an operation from named tensors to named tensors.
pub fn node(op: &str, name: &str, inputs: &[&str], outputs: &[&str], attributes: Vec<Message>) -> Message {
    let node = Message::new().texts(1, inputs).texts(2, outputs).text(3, name).text(4, op);
    attributes.into_iter().fold(node, |node, attribute| node.message(5, &attribute))
}

/// `AttributeProto`: a whole number.
pub fn attribute(name: &str, value: u64) -> Message {
    Message::new().text(1, name).int(3, value).int(20, 2)
}

/// `AttributeProto`: several whole numbers.
pub fn list(name: &str, values: &[usize]) -> Message {
    values.iter().fold(Message::new().text(1, name), |message, &value| message.int(8, value as u64)).int(20, 7)
}

/// `AttributeProto`: a word.
pub fn word(name: &str, value: &str) -> Message {
    Message::new().text(1, name).text(4, value).int(20, 3)
}

/// An extent of a tensor behind the rows of the batch.
#[derive(Debug, Clone, Copy)]
pub enum Extent<'a> {
    /// A number.
    Of(usize),
    /// One that may change from call to call, by its name.
    Named(&'a str),
}

/// `ValueInfoProto`: a matrix of floats [batch, width] that a model takes or gives.
pub fn value(name: &str, width: usize, doc: &str) -> Message {
    rows(name, &[Extent::Of(width)], FLOAT, doc)
}

/// The same of floats [batch, channels, cells].
pub fn planes(name: &str, extents: [usize; 2], doc: &str) -> Message {
    rows(name, &extents.map(Extent::Of), FLOAT, doc)
}

/// The same of whole numbers.
pub fn whole(name: &str, width: usize, doc: &str) -> Message {
    rows(name, &[Extent::Of(width)], INT64, doc)
}

/// The same of floats [batch, …].
pub fn floats_of(name: &str, extents: &[Extent], doc: &str) -> Message {
    rows(name, extents, FLOAT, doc)
}

/// The same of whole numbers [batch, …].
pub fn whole_of(name: &str, extents: &[Extent], doc: &str) -> Message {
    rows(name, extents, INT64, doc)
}

fn rows(name: &str, extents: &[Extent], kind: u64, doc: &str) -> Message {
    let batch = Message::new().message(1, &Message::new().text(2, "batch"));
    let dimension = |shape: Message, extent: &Extent| {
        let extent = match *extent {
            Extent::Of(extent) => Message::new().int(1, extent as u64),
            Extent::Named(name) => Message::new().text(2, name),
        };
        shape.message(1, &extent)
    };
    let shape = extents.iter().fold(batch, dimension);
    let kind = Message::new().message(1, &Message::new().int(1, kind).message(2, &shape));
    Message::new().text(1, name).message(2, &kind).text(3, doc)
}

/// What a whole file says about itself.
pub struct Header<'a> {
    /// Version of the set of operations.
    pub opset: u64,
    /// The graph's name.
    pub name: &'a str,
    /// What it is.
    pub doc: &'a str,
    /// Further facts.
    pub facts: &'a [(&'a str, String)],
}

/// `ModelProto`: a file. `parts` are the graph's nodes, constants, inputs and outputs, each with its field number.
pub fn model(header: &Header, parts: Vec<(u64, Message)>) -> Vec<u8> {
    let graph = parts.into_iter().fold(Message::new(), |graph, (field, part)| graph.message(field, &part));
    let graph = graph.text(2, header.name).text(10, header.doc);
    let opset = Message::new().text(1, "").int(2, header.opset);
    let fact =
        |model: Message, (key, value): &(&str, String)| model.message(14, &Message::new().text(1, key).text(2, value));
    let model = Message::new()
        // The version of the format in which opset 17 came.
        .int(1, 8)
        .text(2, "elbo")
        .text(3, env!("CARGO_PKG_VERSION"))
        .text(6, header.doc)
        .message(7, &graph)
        .message(8, &opset);
    header.facts.iter().fold(model, fact).bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_encoded_as_the_format_has_them() {
        // The examples of the protocol buffers' own documentation: 150, "testing", and a message in a message.
        assert_eq!(Message::new().int(1, 150).bytes(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().text(2, "testing").bytes(), b"\x12\x07testing");
        assert_eq!(Message::new().message(3, &Message::new().int(1, 150)).bytes(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::new().int(20, 2).bytes(), [0xa0, 0x01, 0x02]);
    }
}
