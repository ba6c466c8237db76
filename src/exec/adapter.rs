//! What is known of an adapter before it is opened.

/// What an adapter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdapterKind {
    /// A card with memory of its own.
    Discrete,
    /// A part of the processor.
    Integrated,
    /// A share of a card in a virtual machine.
    Virtual,
    /// The driver does not say.
    Other,
    /// No device at all: a driver that computes on the CPU.
    Software,
}

impl AdapterKind {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "software",
        }
    }
}

/// One adapter, as `elbo adapters` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdapterSummary {
    /// What `--adapter` takes.
    pub index: usize,
    /// The device's name.
    pub name: String,
    /// The interface through which it is reached: Vulkan, Metal or DX12.
    pub backend: &'static str,
    /// What it is.
    pub kind: AdapterKind,
    /// The driver with its version.
    pub driver: String,
    /// The largest buffer in bytes.
    pub max_buffer: u64,
    /// The largest part of a buffer that a kernel can be given, in bytes.
    pub max_binding: u64,
}

impl AdapterSummary {
    /// Name, interface and kind: the name of an executor on it.
    pub fn title(&self) -> String {
        format!("{} [{}, {}]", self.name, self.backend, self.kind.name())
    }
}
