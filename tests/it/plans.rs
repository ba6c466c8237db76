//! Plans: their printed form against recorded ones, and what every plan has to keep to.

mod models;
mod runs;
mod sharing;
mod snapshots;
mod verify;
