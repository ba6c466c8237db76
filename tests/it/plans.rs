//! Plans: their printed form against recorded ones, and what every plan has to keep to.

mod costs;
mod joined;
mod long;
mod measured;
mod members;
mod models;
mod random;
mod recipes;
mod recomputed;
mod runs;
mod snapshots;
mod tuned;
mod verify;
