//! WHAT is computed: a list of operations on tensors, in an order in which each follows what it reads.
//!
//! A graph knows nothing of kernels, buffers and devices. [`op`] holds the operations and their shape rules, [`grad`]
//! the derivative of each, [`group`] whom it is for, [`general`] those from which anything can be written, `parts` how a
//! formula that is too much for one step is cut, [`fuse`] which neighbours one kernel may compute together, [`columns`] how an
//! example of a
//! table is laid out, [`mixture`] what a mixture of logistics is told, [`conv_geometry`] what belongs together in a convolution.

pub mod columns;
pub mod conv_geometry;
pub mod fuse;
pub mod general;
pub mod grad;
pub mod group;
pub mod mixture;
pub mod op;
mod parts;

pub use conv_geometry::ConvGeometry;
pub use general::{Axis, Elements, Reduction};
pub use group::Group;
pub use op::{Clamp, Op};

use crate::error::{Error, Result};
use crate::shape::Shape;
use std::ops::Range;

/// A node of one graph: the index of the operation that makes the tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(pub u32);

/// A trainable tensor.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Unique name, as in checkpoints: `encoder.0`.
    pub name: String,
    /// Its shape. An affine map from `inputs` to `outputs` is one tensor [inputs + 1, outputs]; its last row is the bias.
    pub shape: Shape,
}

/// A term of the loss: the mean over the batch of one number per row, times a weight that may change from step to step. A
/// term without a weight is only reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// What the metrics call it: `distortion`, `rate`.
    pub name: String,
    /// One number per row, [R].
    pub rows: Id,
    /// Which of the step's weights multiplies it.
    pub weight: Option<usize>,
    /// The parameters that follow it.
    pub of: Group,
}

/// Operations, parameters, and what is wanted of them.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// B, the examples of a batch. Tensors whose rows belong to examples have a multiple of B rows.
    pub batch: usize,
    /// Whether it is for a step of training, in which layers may leave numbers out.
    pub training: bool,
    /// The operations of cells of a graph of training, such as residual blocks: what lies between those of one may be computed again
    /// on the way back, in place of being kept. They do not overlap.
    pub cells: Vec<Range<Id>>,
    nodes: Vec<Op>,
    shapes: Vec<Shape>,
    /// Trainable tensors in the order of their storage.
    pub parameters: Vec<Parameter>,
    /// Terms of the loss, in the order of the metrics.
    pub terms: Vec<Term>,
    /// Tensors that are read back, by name.
    pub outputs: Vec<(String, Id)>,
    /// Parameters, by their place, that become a tensor of their shape at the end of a step of training, as running averages
    /// do. They belong to no group that is trained.
    pub assigned: Vec<(usize, Id)>,
}

impl Graph {
    /// An empty graph for batches of `batch` examples.
    pub fn new(batch: usize) -> Self {
        Self { batch, ..Self::default() }
    }

    /// An empty graph for a step of training by `batch` examples.
    pub fn training(batch: usize) -> Self {
        Self { training: true, ..Self::new(batch) }
    }

    /// Appends an operation. Shapes that do not meet are an error that names the operation and both shapes.
    ///
    /// Of a formula that is too much for one step, parts are appended before it.
    ///
    /// # Errors
    /// Those of [`op::infer`]; [`Error::Usage`] for a tensor of more elements than can be counted.
    pub fn add(&mut self, op: Op) -> Result<Id> {
        let op = parts::bounded(self, op)?;
        let shape = op::infer(&op, self)?;
        if !shape.is_possible() {
            return Err(Error::Usage(format!(
                "a tensor of {} has a shape that none has: it takes up to four extents, and a number of elements that can be \
                 counted",
                op.name()
            )));
        }
        self.nodes.push(op);
        self.shapes.push(shape);
        Ok(Id(self.nodes.len() as u32 - 1))
    }

    /// Makes a cell ([`Graph::cells`]) of all operations from the place `begun` on, in a graph of training.
    pub fn end_cell(&mut self, begun: usize) {
        if self.training {
            self.cells.push(Id(begun as u32)..Id(self.len() as u32));
        }
    }

    /// The operation that is there already, or else appends it: what several others want is computed once.
    ///
    /// # Errors
    /// As of [`Graph::add`].
    pub fn shared(&mut self, op: Op) -> Result<Id> {
        match self.nodes.iter().position(|other| *other == op) {
            Some(at) => Ok(Id(at as u32)),
            None => self.add(op),
        }
    }

    /// Declares a trainable tensor and gives the node that reads it.
    ///
    /// # Errors
    /// As of [`Graph::add`].
    pub fn parameter(&mut self, name: &str, shape: Shape) -> Result<Id> {
        self.parameters.push(Parameter { name: name.to_owned(), shape });
        self.add(Op::Parameter { index: self.parameters.len() - 1 })
    }

    /// The node that reads the trainable tensor of this name, if it is declared.
    pub fn declared(&self, name: &str) -> Option<Id> {
        let at = self.parameters.iter().position(|parameter| parameter.name == name)?;
        self.ids().find(|&id| *self.op(id) == Op::Parameter { index: at })
    }

    /// Adds a term of the loss.
    pub fn term(&mut self, name: &str, rows: Id, weight: usize) {
        self.term_of(name, rows, weight, Group::All);
    }

    /// Adds a term of the loss that only the parameters of a group follow.
    pub fn term_of(&mut self, name: &str, rows: Id, weight: usize, of: Group) {
        self.terms.push(Term { name: name.to_owned(), rows, weight: Some(weight), of });
    }

    /// Adds a mean over the batch that is no part of the loss.
    pub fn report(&mut self, name: &str, rows: Id) {
        self.terms.push(Term { name: name.to_owned(), rows, weight: None, of: Group::All });
    }

    /// Marks a tensor as one that is read back under `name`.
    pub fn output(&mut self, name: &str, id: Id) {
        self.outputs.push((name.to_owned(), id));
    }

    /// Lets a parameter become another tensor once all of a step is computed, in place of an update.
    ///
    /// # Errors
    /// A bug, where `parameter` is none or becomes something already, or the tensor has other extents but for ones.
    pub fn assign(&mut self, parameter: Id, value: Id) -> Result<()> {
        let lasting = |shape: Shape| shape.extents().iter().copied().filter(|&n| n != 1).collect::<Vec<_>>();
        match *self.op(parameter) {
            Op::Parameter { index } if self.assigned.iter().any(|&(other, _)| other == index) => {
                let name = &self.parameters[index].name;
                return Err(Error::Bug(format!("{name} becomes two tensors in one step")));
            }
            Op::Parameter { index } if lasting(self.shape(parameter)) == lasting(self.shape(value)) => {
                self.assigned.push((index, value));
            }
            _ => return Err(Error::Bug(format!("{} cannot become {}", self.shape(parameter), self.shape(value)))),
        }
        Ok(())
    }

    /// The operation of a node.
    pub fn op(&self, id: Id) -> &Op {
        &self.nodes[id.0 as usize]
    }

    fn op_mut(&mut self, id: Id) -> &mut Op {
        &mut self.nodes[id.0 as usize]
    }

    /// The operation of a node; where it is a gradient, the operation that it is the gradient of, for which input, and
    /// given which gradient. Kernels compute a term, its gradient or both, and are told so by this.
    pub fn forward(&self, id: Id) -> (&Op, Option<(usize, Id)>) {
        match *self.op(id) {
            Op::Vjp { of, input, dy } => (self.op(of), Some((input, dy))),
            _ => (self.op(id), None),
        }
    }

    /// The shape of a node's tensor.
    pub fn shape(&self, id: Id) -> Shape {
        self.shapes[id.0 as usize]
    }

    /// All nodes, each after those that it reads.
    pub fn ids(&self) -> impl DoubleEndedIterator<Item = Id> + use<> {
        (0..self.nodes.len() as u32).map(Id)
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }
}
