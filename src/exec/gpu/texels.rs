//! Textures that hold what bindings hold, a layer for each member, for kernels that read them so; see
//! [`TEXELS_PER_ROW`].

use super::device::Device;
use super::{Binding, fault};
use crate::error::{Error, Result};
use crate::kernels::{MAX_TEXEL_WORDS, TEXELS_PER_ROW};

/// Bytes of a texel.
const TEXEL: u64 = 16;

/// What all bindings of this kind have in common.
pub(super) fn binding_type() -> wgpu::BindingType {
    wgpu::BindingType::Texture {
        sample_type: wgpu::TextureSampleType::Float { filterable: false },
        view_dimension: wgpu::TextureViewDimension::D2Array,
        multisampled: false,
    }
}

/// A copy that has to be made before a dispatch.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    from: Binding,
    members: usize,
    texture: wgpu::Texture,
}

impl Copy {
    /// Records it for every member.
    pub fn record(&self, encoder: &mut wgpu::CommandEncoder) {
        (0..self.members).for_each(|member| self.record_member(member, encoder));
    }

    /// The full rows, then the rest.
    fn record_member(&self, member: usize, encoder: &mut wgpu::CommandEncoder) {
        let texels = self.from.words.div_ceil(4);
        let begin = 4 * (self.from.offset + member * self.from.stride) as u64;
        let (rows, rest) = ((texels / TEXELS_PER_ROW) as u32, (texels % TEXELS_PER_ROW) as u32);
        for (first, rows, width) in [(0, rows, TEXELS_PER_ROW as u32), (rows, 1, rest)] {
            if rows * width == 0 {
                continue;
            }
            let bytes_per_row = TEXELS_PER_ROW as u64 * TEXEL;
            let layout = wgpu::TexelCopyBufferLayout {
                offset: begin + u64::from(first) * bytes_per_row,
                bytes_per_row: Some(bytes_per_row as u32),
                rows_per_image: None,
            };
            let origin = wgpu::Origin3d { x: 0, y: first, z: member as u32 };
            encoder.copy_buffer_to_texture(
                wgpu::TexelCopyBufferInfo { buffer: &self.from.buffer, layout },
                wgpu::TexelCopyTextureInfo { origin, ..self.texture.as_image_copy() },
                wgpu::Extent3d { width, height: rows, depth_or_array_layers: 1 },
            );
        }
    }
}

/// The textures of a plan, while it is gone through step by step.
#[derive(Debug)]
pub(super) struct Textures {
    members: usize,
    made: Vec<Texture>,
}

#[derive(Debug)]
struct Texture {
    copy: Copy,
    /// Whether it holds what its words hold at this point of the plan.
    current: bool,
}

impl Textures {
    /// None so far, for plans of `members` members.
    pub fn new(members: usize) -> Self {
        Self { members, made: vec![] }
    }

    /// For how many members they are.
    pub fn members(&self) -> usize {
        self.members
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.made.len()
    }

    /// The texture of what a binding is bound to, and the copy that fills it, unless it holds that already.
    ///
    /// # Errors
    /// [`crate::error::Error::Device`] where the device has too few layers or too little memory for the texture,
    /// [`crate::error::Error::Bug`] where the binding is too long for one.
    pub fn get(&mut self, device: &Device, from: &Binding) -> Result<(wgpu::TextureView, Option<Copy>)> {
        let known = self.made.iter().position(|texture| texture.copy.from == *from);
        let at = if let Some(at) = known {
            at
        } else {
            let texture = make(device, from.words, self.members)?;
            let copy = Copy { from: from.clone(), members: self.members, texture };
            self.made.push(Texture { copy, current: false });
            self.made.len() - 1
        };
        let texture = &mut self.made[at];
        let copy = (!std::mem::replace(&mut texture.current, true)).then(|| texture.copy.clone());
        Ok((texture.copy.texture.create_view(&as_array()), copy))
    }

    /// Takes note that what a binding is bound to is overwritten.
    pub fn overwritten(&mut self, by: &Binding) {
        for Texture { copy: Copy { from, .. }, current } in &mut self.made {
            let apart = by.offset + by.words <= from.offset || from.offset + from.words <= by.offset;
            *current &= from.buffer != by.buffer || apart;
        }
    }
}

/// A texture as shaders see it, also one with a single layer.
fn as_array() -> wgpu::TextureViewDescriptor<'static> {
    wgpu::TextureViewDescriptor { dimension: Some(wgpu::TextureViewDimension::D2Array), ..Default::default() }
}

/// A texture for `words` words of each of `members` members.
fn make(device: &Device, words: usize, members: usize) -> Result<wgpu::Texture> {
    let most = device.limits.max_texture_array_layers as usize;
    if members > most {
        let title = device.summary.title();
        let remedy = crate::exec::remedy(members);
        return Err(Error::Device(format!("{title} takes {most} members in a texture, not {members}: {remedy}")));
    }
    if words > MAX_TEXEL_WORDS {
        return Err(Error::Bug(format!("{words} words do not fit into a texture")));
    }
    let texels = words.div_ceil(4);
    let size = wgpu::Extent3d {
        width: texels.clamp(1, TEXELS_PER_ROW) as u32,
        height: texels.div_ceil(TEXELS_PER_ROW).max(1) as u32,
        depth_or_array_layers: members as u32,
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
            "{} has no memory left for intermediate results: {}",
            device.summary.title(),
            crate::exec::remedy(members)
        )),
        other => fault::translate(&other),
    })
}
