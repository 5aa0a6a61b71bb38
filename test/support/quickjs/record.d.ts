/** Put in by the bundler: what the Node run of the test file recorded. */
declare module 'coldseal:record' {
  const record: readonly string[];
  export default record;
}
