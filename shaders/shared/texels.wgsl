
// Bindings that are read as textures: four words a texel, rows of so many texels as the host says too, a layer a member.

const TEXELS_PER_ROW = 1024u;

// Where the words from 4·at on are.
fn texel(at: u32) -> vec2<u32> {
    return vec2<u32>(at % TEXELS_PER_ROW, at / TEXELS_PER_ROW);
}
