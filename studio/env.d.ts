/** Version of nextx, put in by the bundler. */
declare const __NEXTX_VERSION__: string;
