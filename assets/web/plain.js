// The executor without WebGPU: it walks a plan and calls a function for each step. A plan is data: buffers, and steps that
// say which kernel computes what from which parts of them.

import * as elements from "./elements.js";
import * as formulas from "./formulas.js";
import * as gradients from "./gradients.js";
import * as latents from "./latents.js";
import * as likelihoods from "./likelihoods.js";
import * as products from "./products.js";

const KERNELS = { ...elements, ...formulas, ...gradients, ...latents, ...likelihoods, ...products };

// Words by the names of fields, which are floats or whole numbers.
function fields(list, words) {
    const bits = new DataView(new ArrayBuffer(4));
    const entries = list.map(([name, isFloat], at) => {
        bits.setUint32(0, words[at]);
        return [name, isFloat ? bits.getFloat32(0) : words[at]];
    });
    return Object.fromEntries(entries);
}

// What a kernel is given: see elements.js.
function bound(step, kernel, buffers) {
    const call = { p: fields(kernel.params, step.params), entries: [], f: {}, u: {} };
    call.c = Object.fromEntries(kernel.consts.map((name, at) => [name, step.consts[at]]));
    call.program = step.consts.slice(kernel.consts.length);
    const size = kernel.entry.length;
    for (let at = kernel.params.length; size > 0 && at + size <= step.params.length; at += size) {
        call.entries.push(fields(kernel.entry, step.params.slice(at, at + size)));
    }
    kernel.bindings.forEach((name, at) => {
        const [buffer, offset, words] = step.views[at];
        call.f[name] = new Float32Array(buffers[buffer], 4 * offset, words);
        call.u[name] = new Uint32Array(buffers[buffer], 4 * offset, words);
    });
    return call;
}

/** Plans, ready to run. `parameters` are shared by all of them. */
export class Plain {
    name = "JavaScript, without WebGPU";

    constructor({ plans, kernels }, parameters) {
        this.plans = new Map();
        for (const [name, plan] of Object.entries(plans)) {
            const buffers = plan.buffers.map(({ role, words, values }) => {
                if (role === "parameters") {
                    return parameters.buffer;
                }
                return values ? new Uint32Array(values).buffer : new ArrayBuffer(4 * words);
            });
            const steps = plan.steps.map((step) => {
                return { of: KERNELS[step.kernel], call: bound(step, kernels[step.kernel], buffers) };
            });
            const roles = new Map(plan.buffers.map(({ role }, at) => [role, buffers[at]]));
            this.plans.set(name, { steps, roles });
        }
    }

    /** Puts values into the buffer of a role, where the plan has one. */
    write(name, role, values) {
        const { roles } = this.plans.get(name);
        if (roles.has(role)) {
            new values.constructor(roles.get(role)).set(values);
        }
    }

    /** Takes other parameters, which lie where the plans look for them: all executors share them. */
    take() {}

    /**
     * Runs a plan, once for each of the scalars, and reads what came out in the end.
     * @param {string} name of the plan
     * @param {Object<string, Float32Array|Uint32Array>} inputs by the roles of buffers
     * @param {object[]} runs the scalars of each run
     * @param {string[]} outputs roles of buffers to read
     * @returns {Promise<Float32Array[]>}
     */
    async run(name, inputs, runs, outputs) {
        const { steps, roles } = this.plans.get(name);
        Object.entries(inputs).forEach(([role, values]) => this.write(name, role, values));
        for (const scalars of runs) {
            steps.forEach(({ of, call }) => of(call, scalars));
        }
        return outputs.map((role) => new Float32Array(roles.get(role).slice(0)));
    }
}
