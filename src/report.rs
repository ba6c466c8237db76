//! What people see: the only code, beside `main`, that prints or draws.

pub mod grid;
