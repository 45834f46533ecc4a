# The parts of the stub that no compiler can write: from the PVH entry to 64-bit Rust code, the
# exception entries, and the jump into the kernel. AT&T syntax.

# Where to enter: Xen's public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY.
    .section .note.pvh, "a", @note
    .balign 4
    .long 4                     # size of the name
    .long 8                     # size of the descriptor
    .long 18                    # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_entry

# --- 32-bit protected mode, paging off, flat segments, start info at ebx (Xen docs/misc/pvh.pandoc)
    .section .text.pvh_entry, "ax"
    .code32
    .global pvh_entry
pvh_entry:
    cli
    cld
    movl $boot_stack_top, %esp
    movl %ebx, %ebp             # cpuid overwrites ebx

    # Long mode (bit 29) and no-execute pages (bit 20): the kernel's W^X needs both.
    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb no_long_mode
    movl $0x80000001, %eax
    cpuid
    andl $0x20100000, %edx
    cmpl $0x20100000, %edx
    jne no_long_mode

    # The first 4 GiB at their physical addresses: four page directories of 2 MiB pages.
    movl $boot_directories, %edi
    movl $0x83, %eax            # present, writable, large
    movl $2048, %ecx
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $0x200000, %eax
    addl $8, %edi
    decl %ecx
    jnz 1b

    movl $boot_directories + 3, %eax
    movl $boot_pointers, %edi
    movl $4, %ecx
2:  movl %eax, (%edi)
    addl $0x1000, %eax
    addl $8, %edi
    decl %ecx
    jnz 2b
    movl $boot_pointers + 3, boot_root

    movl %cr4, %eax
    orl $0x20, %eax             # PAE
    movl %eax, %cr4
    movl $boot_root, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx      # EFER
    rdmsr
    orl $0x900, %eax            # LME, NXE
    wrmsr
    movl %cr0, %eax
    orl $0x80010001, %eax       # PG, WP, PE
    movl %eax, %cr0

    lgdt gdt_pointer
    ljmp $0x28, $long_mode

no_long_mode:
    movl $no_long_mode_text, %esi
1:  movw $0x3fd, %dx            # COM1, line status: wait until it takes a byte
2:  inb %dx, %al
    testb $0x20, %al
    jz 2b
    movb (%esi), %al
    testb %al, %al
    jz 3f
    movw $0x3f8, %dx
    outb %al, %dx
    incl %esi
    jmp 1b
3:  movl $0x11, %eax            # failure, by QEMU's isa-debug-exit
    movw $0xf4, %dx
    outl %eax, %dx
4:  cli
    hlt
    jmp 4b

    .code64
long_mode:
    movl $0x30, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl $boot_stack_top, %esp
    movl %ebp, %edi             # start info
    xorl %ebp, %ebp
    call stub_main
    ud2

# --- handoff(page tables: rdi, stack top: rsi, entry: rdx): the state of the Limine protocol,
# "Machine state at entry, x86-64". The stub is mapped at the same address in the new tables.
    .global handoff
handoff:
    cli
    movq %rdi, %cr3
    movq %rsi, %rsp
    pushq $0                    # a return address that cannot be returned to
    pushq %rdx
    xorl %eax, %eax
    xorl %ebx, %ebx
    xorl %ecx, %ecx
    xorl %edx, %edx
    xorl %esi, %esi
    xorl %edi, %edi
    xorl %ebp, %ebp
    xorl %r8d, %r8d
    xorl %r9d, %r9d
    xorl %r10d, %r10d
    xorl %r11d, %r11d
    xorl %r12d, %r12d
    xorl %r13d, %r13d
    xorl %r14d, %r14d
    xorl %r15d, %r15d
    pushq $2                    # all flags clear; bit 1 is always set
    popfq
    ret

# --- one entry of 16 bytes for each exception; all end in Rust and never return. Some exceptions
# push an error code and some do not: stub_exception gets the stack and tells them apart.
    .global exception_entries
    .balign 16
exception_entries:
    .set vector, 0
    .rept 32
    .balign 16
    movl $vector, %edi
    jmp exception
    .set vector, vector + 1
    .endr
exception:
    movq %rsp, %rsi
    andq $-16, %rsp
    movq %cr2, %rdx
    call stub_exception
    ud2

    .section .rodata.boot, "a"
no_long_mode_text:
    .asciz "tocsin: fatal: this processor has no 64-bit mode or no NX; use another one (-cpu max)\r\n"

# The descriptors that the Limine protocol lists, in its order. Writable: the processor sets the
# accessed bits.
    .section .data.boot, "aw"
    .balign 8
    .global gdt
gdt:
    .quad 0
    .quad 0x00009a000000ffff    # 0x08 16-bit code
    .quad 0x000092000000ffff    # 0x10 16-bit data
    .quad 0x00cf9a000000ffff    # 0x18 32-bit code
    .quad 0x00cf92000000ffff    # 0x20 32-bit data
    .quad 0x00af9a000000ffff    # 0x28 64-bit code
    .quad 0x00cf92000000ffff    # 0x30 64-bit data
gdt_end:
    .balign 4
gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt

    .section .bss.boot, "aw", @nobits
    .balign 4096
boot_stack:
    .skip 0x20000
boot_stack_top:
boot_root:
    .skip 0x1000
boot_pointers:
    .skip 0x1000
boot_directories:
    .skip 0x4000
