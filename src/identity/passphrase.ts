/** Where a keystore's passphrase comes from. It is read when needed and kept no longer than that. */
export type PassphraseSource = {
  /** a file whose first line it is */
  file?: string;
  /** asks the person at the terminal; absent when there is none */
  prompt?(question: string): Promise<string>;
};
