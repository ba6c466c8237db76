//! Groups of parameters: what follows a term of a loss, and what a phase of training changes.

/// Some of a model's parameters, by what their names begin with: `encoder` has `encoder.0`, `encoder.head` and, of several
/// stochastic layers, `encoder2.0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Group {
    /// All there are.
    #[default]
    All,
    /// Those of these parts.
    Of(&'static [&'static str]),
    /// All but those of these parts.
    Except(&'static [&'static str]),
}

/// What shows data to the latents.
pub const ENCODER: Group = Group::Of(&["encoder"]);
/// What makes data of latents, and says what latents are like before any example is seen.
pub const DECODER: Group = Group::Of(&["decoder", "prior"]);

impl Group {
    /// Whether a parameter of this name belongs to it.
    pub fn contains(self, name: &str) -> bool {
        let is_of = |parts: &[&str]| parts.iter().any(|part| name.starts_with(part));
        match self {
            Self::All => true,
            Self::Of(parts) => is_of(parts),
            Self::Except(parts) => !is_of(parts),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_by_what_names_begin_with() {
        let names = ["encoder.0", "encoder2.head", "decoder.head", "prior.mean", "discriminator.0"];
        for (group, expected) in [
            (Group::All, [true; 5]),
            (ENCODER, [true, true, false, false, false]),
            (DECODER, [false, false, true, true, false]),
            (Group::Except(&["discriminator"]), [true, true, true, true, false]),
            (Group::Of(&[]), [false; 5]),
        ] {
            assert_eq!(names.map(|name| group.contains(name)), expected, "{group:?}");
        }
    }
}
