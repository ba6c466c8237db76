// The executor for WebGPU: the same shaders as elbo's own, a dispatch for each step of a plan.

// Bytes that a step is given of its params, and of the scalars of a run; and from those of one run to the next.
const [PARAMS, SCALARS, STRIDE] = [512, 80, 256];
/** Runs of a plan in one submission, at most. */
export const RUNS = 32;

// Scalars of a run, as `struct Step` of the shaders has them.
function packed(s) {
    const [words, floats] = [new Uint32Array(SCALARS / 4), new Float32Array(SCALARS / 4)];
    words.set([s.step, s.rows, s.first, s.slot, ...s.key, s.sample, s.stream]);
    floats.set([s.row_weight, s.lr ?? 0, s.correction1 ?? 0, s.correction2 ?? 0, ...s.weights], 8);
    words.set(new Uint32Array(floats.buffer).subarray(8), 8);
    return words;
}

// Whether an adapter is a driver that computes on the processor.
function isSoftware({ isFallbackAdapter, info = {} }) {
    const name = [info.vendor, info.architecture, info.description, info.device].join(" ").toLowerCase();
    return Boolean(info.isFallbackAdapter ?? isFallbackAdapter) || /swiftshader|llvmpipe|basic render/.test(name);
}

/** Plans, ready to run. `parameters` are shared by all of them. */
export class WebGpu {
    /** Opens a device and compiles all shaders; gives null where there is no device, and throws where it refuses them. */
    static async open(given, parameters) {
        const adapter = await globalThis.navigator?.gpu?.requestAdapter();
        if (!adapter) {
            return null;
        }
        // What is given may depend on whether the adapter is a software driver.
        const { plans, shaders } = typeof given === "function" ? await given(isSoftware(adapter)) : given;
        const device = await adapter.requestDevice();
        const { vendor = "", architecture = "", description = "" } = adapter.info ?? {};
        const opened = new WebGpu();
        opened.name = `WebGPU, ${description || [vendor, architecture].filter(Boolean).join(" ") || "a GPU"}`;
        opened.device = device;
        opened.scalars = opened.#buffer(STRIDE * RUNS, GPUBufferUsage.UNIFORM);
        opened.parameters = opened.#storage(parameters);
        opened.plans = new Map();
        device.pushErrorScope("validation");
        device.pushErrorScope("out-of-memory");
        const modules = shaders.map((code) => device.createShaderModule({ code }));
        for (const [name, plan] of Object.entries(plans)) {
            opened.plans.set(name, await opened.#load(plan, modules));
        }
        const errors = [await device.popErrorScope(), await device.popErrorScope()];
        const error = errors.find(Boolean);
        if (error) {
            device.destroy();
            throw new Error(error.message);
        }
        return opened;
    }

    #buffer(bytes, usage) {
        const size = Math.max(16, 16 * Math.ceil(bytes / 16));
        return this.device.createBuffer({ size, usage: usage | GPUBufferUsage.COPY_DST });
    }

    #storage(values) {
        const made = this.#buffer(values.byteLength, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
        this.device.queue.writeBuffer(made, 0, values);
        return made;
    }

    async #load(plan, modules) {
        const { device } = this;
        const buffers = plan.buffers.map(({ role, words, values }) => {
            if (role === "parameters") {
                return { buffer: this.parameters, words };
            }
            return { buffer: role === "unused" ? null : this.#storage(new Uint32Array(values ?? words)), words };
        });
        const params = this.#buffer(PARAMS * plan.steps.length, GPUBufferUsage.UNIFORM);
        const steps = plan.steps.map(async (step, number) => {
            device.queue.writeBuffer(params, PARAMS * number, new Uint32Array(step.params));
            const visibility = GPUShaderStage.COMPUTE;
            const entry = (binding, type, hasDynamicOffset = false) => ({ binding, visibility, buffer: { type, hasDynamicOffset } });
            const storage = step.views.map(([, , , writable], at) => entry(at, writable ? "storage" : "read-only-storage"));
            const layouts = [storage, [entry(0, "uniform"), entry(1, "uniform", true)]].map((entries) => {
                return device.createBindGroupLayout({ entries });
            });
            const pipeline = await device.createComputePipelineAsync({
                layout: device.createPipelineLayout({ bindGroupLayouts: layouts }),
                compute: { module: modules[step.shader], entryPoint: "main" },
            });
            const views = step.views.map(([at, offset, words], binding) => {
                const { buffer } = buffers[at];
                // What a kernel does not use is bound to a buffer of its own: no two bindings may overlap.
                const resource = buffer ? { buffer, offset: 4 * offset, size: 4 * words } : { buffer: this.#storage(new Uint32Array(4)) };
                return { binding, resource };
            });
            const uniforms = [
                { binding: 0, resource: { buffer: params, offset: PARAMS * number, size: PARAMS } },
                { binding: 1, resource: { buffer: this.scalars, size: SCALARS } },
            ];
            const groups = [views, uniforms].map((entries, at) => device.createBindGroup({ layout: layouts[at], entries }));
            return { pipeline, groups, grid: step.grid };
        });
        const roles = new Map(plan.buffers.map(({ role }, at) => [role, buffers[at]]));
        return { steps: await Promise.all(steps), roles };
    }

    /** See `write` in plain.js. */
    write(name, role, values) {
        const { roles } = this.plans.get(name);
        if (roles.has(role)) {
            this.device.queue.writeBuffer(roles.get(role).buffer, 0, values);
        }
    }

    /** Takes other parameters, as they lie in plans. */
    take(parameters) {
        this.device.queue.writeBuffer(this.parameters, 0, parameters);
    }

    /** See `run` in plain.js; the runs are `RUNS` at most. */
    async run(name, inputs, runs, outputs) {
        const { device } = this;
        const { steps, roles } = this.plans.get(name);
        Object.entries(inputs).forEach(([role, values]) => this.write(name, role, values));
        runs.forEach((scalars, at) => device.queue.writeBuffer(this.scalars, STRIDE * at, packed(scalars)));
        const encoder = device.createCommandEncoder();
        const pass = encoder.beginComputePass();
        runs.forEach((_, at) => {
            for (const { pipeline, groups: [views, uniforms], grid } of steps) {
                pass.setPipeline(pipeline);
                pass.setBindGroup(0, views);
                pass.setBindGroup(1, uniforms, [STRIDE * at]);
                pass.dispatchWorkgroups(...grid);
            }
        });
        pass.end();
        const read = outputs.map((role) => {
            const { buffer, words } = roles.get(role);
            const copy = this.#buffer(4 * words, GPUBufferUsage.MAP_READ);
            encoder.copyBufferToBuffer(buffer, 0, copy, 0, 4 * words);
            return { copy, words };
        });
        device.queue.submit([encoder.finish()]);
        return Promise.all(read.map(async ({ copy, words }) => {
            await copy.mapAsync(GPUMapMode.READ);
            const values = new Float32Array(copy.getMappedRange().slice(0, 4 * words));
            copy.destroy();
            return values;
        }));
    }
}
