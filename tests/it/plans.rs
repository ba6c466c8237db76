//! Plans: their printed form against recorded ones, and what every plan has to keep to.

mod costs;
mod measured;
mod models;
mod runs;
mod sharing;
mod snapshots;
mod verify;
