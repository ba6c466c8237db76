// Gives every form that `elbo doctor --wgsl FORMS` wrote to Dawn, the WebGPU of Chrome, whose compiler of WGSL is Tint.
//
//   node tests/wgsl/dawn.mjs PACKAGE FORMS            compiles all of them; needs no driver
//   node tests/wgsl/dawn.mjs PACKAGE FORMS --run      runs the last form of each kernel that has a case against its twin
//   node tests/wgsl/dawn.mjs PACKAGE FORMS --run all  runs every form that has one
//
// PACKAGE is the folder of the npm package `webgpu`. Prints what is wrong, a line a form, and exits with 1 if anything is.

import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [packageFolder, folder, run, all] = process.argv.slice(2);
const { create, globals } = await import(pathToFileURL(resolve(packageFolder, "index.js")));
Object.assign(globalThis, globals);
const { forms } = JSON.parse(readFileSync(join(folder, "forms.json"), "utf8"));
const text = (form) => readFileSync(join(folder, form.file), "utf8");
const faults = [];

const gpu = create(run ? ["backend=vulkan"] : ["backend=null"]);
const adapter = await gpu.requestAdapter();
if (!adapter) {
    console.log("Dawn finds no adapter");
    process.exit(1);
}
const subgroups = adapter.features.has("subgroups");
const device = await adapter.requestDevice({ requiredFeatures: subgroups ? ["subgroups"] : [] });
device.addEventListener("uncapturederror", (event) => faults.push(event.error.message));
await (run ? runAll() : compileAll());
// Dawn leaves nothing to be closed, and keeps the process alive.
faults.forEach((fault) => console.log(fault));
process.exit(faults.length > 0 ? 1 : 0);

// What the compiler says against a text.
async function complaints(code) {
    device.pushErrorScope("validation");
    const module = device.createShaderModule({ code });
    const { messages } = await module.getCompilationInfo();
    const error = await device.popErrorScope();
    const errors = messages.filter((message) => message.type === "error");
    const lines = errors.map((message) => `line ${message.lineNum}: ${message.message.split("\n")[0]}`);
    return lines.length > 0 || !error ? lines : [error.message];
}

async function compileAll() {
    for (const form of forms) {
        const found = await complaints(text(form));
        if (found.length > 0) {
            faults.push(`${form.file}: ${found.join("; ")}`);
        }
    }
    // A barrier that only some threads reach, for all that the compiler can know, has to be noticed.
    const sound = text(forms.find((form) => form.kernel === "matmul"));
    const asks = "    member = member_of(group);\n";
    const broken = sound.replace(asks, `${asks}    if member == 0u {\n        workgroupBarrier();\n    }\n`);
    if (broken === sound || !(await complaints(broken)).some((line) => line.includes("workgroupBarrier"))) {
        faults.push("a barrier behind `member` is not complained of: this check checks nothing");
    }
    console.log(`Tint has compiled ${forms.length} forms`);
}

async function runAll() {
    const words = readFileSync(join(folder, "words.bin"));
    const cases = new Map();
    for (const form of forms.filter((form) => form.case)) {
        cases.set(all ? form.file : form.kernel, form);
    }
    // Shaders that use subgroups count on eight lanes.
    const lanes = adapter.info.subgroupMinSize === 8 && adapter.info.subgroupMaxSize === 8;
    let ran = 0;
    for (const form of cases.values()) {
        const code = text(form);
        if (code.includes("enable subgroups;") && !(subgroups && lanes)) {
            continue;
        }
        device.pushErrorScope("validation");
        const difference = await runCase(form, code, words);
        const error = await device.popErrorScope();
        if (error || difference) {
            faults.push(`${form.file}: ${error ? error.message : difference}`);
        }
        ran += 1;
    }
    console.log(`${adapter.info.vendor} ${adapter.info.device || adapter.info.description} has run ${ran} forms through Dawn`);
}

// Says how what a form computes differs from what its twin computed, if it does.
async function runCase(form, code, words) {
    const { bindings, grid, params, step } = form.case;
    const at = (place, count) => words.buffer.slice(words.byteOffset + 4 * place, words.byteOffset + 4 * (place + count));
    const buffer = (usage, bytes, least) => {
        const made = device.createBuffer({ size: Math.max(least, Math.ceil(bytes.byteLength / 16) * 16), usage });
        device.queue.writeBuffer(made, 0, bytes);
        return made;
    };
    const { STORAGE, UNIFORM, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const visibility = GPUShaderStage.COMPUTE;
    const groups = [[], [], []];
    const outputs = [];
    bindings.forEach((bound, binding) => {
        const bytes = at(bound.before, bound.words);
        if (bound.texels) {
            const layout = { texture: { sampleType: "unfilterable-float", viewDimension: "2d-array" } };
            const resource = texture(bytes).createView({ dimension: "2d-array" });
            groups[2].push({ binding, layout, resource });
        }
        if (!bound.texels || bound.written) {
            const made = buffer(STORAGE | COPY_SRC | COPY_DST, bytes, 16);
            const layout = { buffer: { type: bound.written ? "storage" : "read-only-storage" } };
            groups[0].push({ binding, layout, resource: { buffer: made } });
            if (bound.written) {
                outputs.push({ ...bound, buffer: made });
            }
        }
    });
    for (const [binding, values, least] of [[0, params, 512], [1, step, 64]]) {
        const resource = { buffer: buffer(UNIFORM | COPY_DST, new Uint32Array(values), least) };
        groups[1].push({ binding, layout: { buffer: { type: "uniform" } }, resource });
    }
    const layouts = groups.map((entries) => device.createBindGroupLayout({
        entries: entries.map(({ binding, layout }) => ({ binding, visibility, ...layout })),
    }));
    const pipeline = device.createComputePipeline({
        layout: device.createPipelineLayout({ bindGroupLayouts: layouts }),
        compute: { module: device.createShaderModule({ code }), entryPoint: "main" },
    });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    groups.forEach((entries, group) => {
        const bound = entries.map(({ binding, resource }) => ({ binding, resource }));
        pass.setBindGroup(group, device.createBindGroup({ layout: layouts[group], entries: bound }));
    });
    pass.dispatchWorkgroups(...grid);
    pass.end();
    for (const output of outputs) {
        output.read = device.createBuffer({ size: output.buffer.size, usage: GPUBufferUsage.MAP_READ | COPY_DST });
        encoder.copyBufferToBuffer(output.buffer, 0, output.read, 0, output.buffer.size);
    }
    device.queue.submit([encoder.finish()]);
    for (const { name, read, words: count, after, float } of outputs) {
        await read.mapAsync(GPUMapMode.READ);
        const kind = float ? Float32Array : Uint32Array;
        const found = difference(new kind(at(after, count)), new kind(read.getMappedRange().slice(0, 4 * count)));
        if (found) {
            return `${name}: ${found}`;
        }
    }
    return "";
}

// Words as texels, in rows of 1024, as src/kernels.rs has them.
function texture(bytes) {
    const row = 1024 * 16;
    const padded = new Uint8Array(Math.ceil(Math.max(bytes.byteLength, 1) / row) * row);
    padded.set(new Uint8Array(bytes));
    const size = [1024, padded.length / row, 1];
    const usage = GPUTextureUsage.TEXTURE_BINDING | GPUTextureUsage.COPY_DST;
    const made = device.createTexture({ size, format: "rgba32float", usage });
    device.queue.writeTexture({ texture: made }, padded, { bytesPerRow: row, rowsPerImage: size[1] }, size);
    return made;
}

// The rule of src/exec/compare.rs.
function difference(expected, found) {
    let [norm, error, worst] = [0, 0, 0];
    for (const [at, e] of expected.entries()) {
        if (Number.isFinite(e) !== Number.isFinite(found[at])) {
            return `element ${at}: expected ${e}, found ${found[at]}`;
        }
        if (Number.isFinite(e)) {
            norm += e * e;
            error += (e - found[at]) ** 2;
            worst = Math.abs(e - found[at]) > Math.abs(expected[worst] - found[worst]) ? at : worst;
        }
    }
    return error <= 1e-9 * norm + 1e-24 ? "" : `element ${worst}: expected ${expected[worst]}, found ${found[worst]}`;
}
