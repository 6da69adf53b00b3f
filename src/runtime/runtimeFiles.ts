/** What onnxruntime-web loads at run time: whoever serves pages serves these, too. */

/**
 * Files in onnxruntime-web's dist/ that each build loads at run time, to be served from one folder. The GPU build comes
 * twice: `webgpu` for browsers that can suspend wasm (JSPI), `webgpuAsyncify` for the others.
 */
export const runtimeFiles = {
  wasm: ["ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"],
  webgpu: ["ort-wasm-simd-threaded.jspi.mjs", "ort-wasm-simd-threaded.jspi.wasm"],
  webgpuAsyncify: ["ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm"],
} as const;
