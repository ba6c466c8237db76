//! Textures that hold what bindings hold, for kernels that read them so; see [`TEXELS_PER_ROW`].

use super::device::Device;
use super::fault;
use crate::error::{Error, Result};
use crate::kernels::{MOST_TEXEL_WORDS, TEXELS_PER_ROW};

/// Bytes of a texel.
const TEXEL: u64 = 16;

/// What all bindings of this kind have in common.
pub(super) fn binding_type() -> wgpu::BindingType {
    wgpu::BindingType::Texture {
        sample_type: wgpu::TextureSampleType::Float { filterable: false },
        view_dimension: wgpu::TextureViewDimension::D2,
        multisampled: false,
    }
}

/// A copy that has to be made before a dispatch.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    buffer: wgpu::Buffer,
    offset: usize,
    words: usize,
    texture: wgpu::Texture,
}

impl Copy {
    /// Records it: the full rows, then the rest.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        let texels = self.words.div_ceil(4);
        let (rows, rest) = ((texels / TEXELS_PER_ROW) as u32, (texels % TEXELS_PER_ROW) as u32);
        for (first, rows, width) in [(0, rows, TEXELS_PER_ROW as u32), (rows, 1, rest)] {
            if rows * width == 0 {
                continue;
            }
            let bytes_per_row = TEXELS_PER_ROW as u64 * TEXEL;
            let layout = wgpu::TexelCopyBufferLayout {
                offset: 4 * self.offset as u64 + u64::from(first) * bytes_per_row,
                bytes_per_row: Some(bytes_per_row as u32),
                rows_per_image: None,
            };
            let origin = wgpu::Origin3d { x: 0, y: first, z: 0 };
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo { buffer: &self.buffer, layout },
                wgpu::TexelCopyTextureInfo { origin, ..self.texture.as_image_copy() },
                wgpu::Extent3d { width, height: rows, depth_or_array_layers: 1 },
            );
        }
    }
}

/// The textures of a plan, while it is gone through step by step.
#[derive(Debug, Default)]
pub(super) struct Textures(Vec<Texture>);

#[derive(Debug)]
struct Texture {
    copy: Copy,
    /// Whether it holds what its words hold at this point of the plan.
    current: bool,
}

impl Textures {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// The texture of words of a buffer, and the copy that fills it, unless it holds them already.
    pub fn get(
        &mut self,
        device: &Device,
        (buffer, offset, words): (&wgpu::Buffer, usize, usize),
    ) -> Result<(wgpu::TextureView, Option<Copy>)> {
        let known = self.0.iter().position(|texture| {
            let copy = &texture.copy;
            copy.buffer == *buffer && (copy.offset, copy.words) == (offset, words)
        });
        let at = if let Some(at) = known {
            at
        } else {
            let texture = make(device, words)?;
            let copy = Copy { buffer: buffer.clone(), offset, words, texture };
            self.0.push(Texture { copy, current: false });
            self.0.len() - 1
        };
        let texture = &mut self.0[at];
        let copy = (!std::mem::replace(&mut texture.current, true)).then(|| texture.copy.clone());
        Ok((texture.copy.texture.create_view(&wgpu::TextureViewDescriptor::default()), copy))
    }

    /// Takes note that words of a buffer are overwritten.
    pub fn overwritten(&mut self, (buffer, offset, words): (&wgpu::Buffer, usize, usize)) {
        for Texture { copy, current } in &mut self.0 {
            let apart = offset + words <= copy.offset || copy.offset + copy.words <= offset;
            *current &= copy.buffer != *buffer || apart;
        }
    }
}

/// A texture for so many words.
pub(super) fn make(device: &Device, words: usize) -> Result<wgpu::Texture> {
    if words > MOST_TEXEL_WORDS {
        return Err(Error::Bug(format!("{words} words do not fit into a texture")));
    }
    let texels = words.div_ceil(4);
    let size = wgpu::Extent3d {
        width: texels.clamp(1, TEXELS_PER_ROW) as u32,
        height: texels.div_ceil(TEXELS_PER_ROW).max(1) as u32,
        depth_or_array_layers: 1,
    };
    let descriptor = wgpu::TextureDescriptor {
        label: Some("texels"),
        size,
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: wgpu::TextureFormat::Rgba32Float,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    };
    device.guarded(|| device.handle.create_texture(&descriptor)).map_err(|error| match error {
        wgpu::Error::OutOfMemory { .. } => Error::Device(format!(
            "{} has no memory left for intermediate results: lower --batch, or make the model smaller",
            device.summary.title()
        )),
        other => fault::translate(&other),
    })
}
