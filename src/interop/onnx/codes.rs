//! Codes in ONNX: whole numbers (i64) that the encoder's file gives and the decoder's takes.

use super::{File, INITIALIZER, INPUT, NODE, OUTPUT, proto};
use crate::error::Result;
use crate::interop::codebook;
use crate::model::{CODES, Model};

impl File<'_> {
    /// The numbers of the nearest codes of what the encoder gives, `x` [batch, S·Z]: the least ‖e‖² − 2z·e, of several the first.
    pub(super) fn nearest(&mut self, model: &Model, x: &str) -> Result<()> {
        let (table, cells, latent) = (codebook(self.checkpoint)?, model.cells(), model.config.latent);
        let rows = || table.values.chunks_exact(latent);
        let norms: Vec<f32> = rows().map(|row| row.iter().map(|&e| f64::from(e).powi(2)).sum::<f64>() as f32).collect();
        let count = norms.len();
        let turned: Vec<f32> = (0..latent).flat_map(|j| rows().map(move |row| -2.0 * row[j])).collect();
        self.part(INITIALIZER, proto::floats("codebook.turned", &[latent, count], &turned));
        self.part(INITIALIZER, proto::floats("codebook.norms", &[count], &norms));
        self.reshape(x, &[cells, latent], "cells");
        self.node("MatMul", &["cells", "codebook.turned"], &["products"]);
        self.node("Add", &["products", "codebook.norms"], &["distances"]);
        let attributes = vec![proto::attribute("axis", 2), proto::attribute("keepdims", 0)];
        self.part(NODE, proto::node("ArgMin", CODES, &["distances"], &[CODES], attributes));
        self.part(OUTPUT, proto::whole(CODES, cells, "the codes of the grid, row by row"));
        Ok(())
    }

    /// The numbers of given codes, as the input `z` of the decoder's graph.
    pub(super) fn looked_up(&mut self, model: &Model) -> Result<()> {
        let (table, cells, latent) = (codebook(self.checkpoint)?, model.cells(), model.config.latent);
        self.part(INPUT, proto::whole(CODES, cells, "the codes of the grid, row by row"));
        self.part(INITIALIZER, proto::floats("codebook", &table.shape, &table.values));
        self.node("Gather", &["codebook", CODES], &["cells"]);
        self.reshape("cells", &[cells * latent], "z");
        Ok(())
    }
}
