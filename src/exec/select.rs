//! Which device a run uses, and why.
