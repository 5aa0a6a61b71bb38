/* What the engine carries: bytecode of the device bundle and of the engine module, the text of all reasons,
   and the sentences that the build took out of the bundle. */
    .section .rodata
    .macro carry name, file
    .balign 16
    .global \name
\name:
    .incbin "\file"
    .global \name\()_end
\name\()_end:
    .byte 0
    .endm
    carry coldseal_bundle, bundle.bin
    carry coldseal_engine, engine.bin
    carry coldseal_reasons, reasons.txt
    carry coldseal_texts, texts.json
    .section .note.GNU-stack, "", %progbits
