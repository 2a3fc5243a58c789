/* Source annotations of Windows drivers: what a routine expects of its arguments, of the IRQL and of locks.
 *
 * The macros mean nothing to the compiler. With WDK_IRQL_ANNOTATIONS defined (clang only) the IRQL ones become annotate attributes, so that a
 * tool which reads the syntax tree finds "irql.max:2" on a declaration; their arguments must then be integer constants.
 *
 * The SAL 1 spellings (__in, __out) are defined for drivers only: C++ standard libraries use these words as identifiers. */
#ifndef _WDK_SAL_H
#define _WDK_SAL_H

#if defined(WDK_IRQL_ANNOTATIONS) && defined(__clang__)
#define _WDK_TEXT2(x) #x
#define _WDK_TEXT(x) _WDK_TEXT2(x)
#define _WDK_ANNOTATE(what, value) __attribute__((annotate(what ":" _WDK_TEXT(value))))
#define _WDK_ANNOTATE_FLAG(what) __attribute__((annotate(what)))
#else
#define _WDK_ANNOTATE(what, value)
#define _WDK_ANNOTATE_FLAG(what)
#endif

/* IRQL: what must hold on entry (requires), what changes (raises), what is restored on return (same), where the old level is kept. */
#define _IRQL_requires_(irql) _WDK_ANNOTATE("irql.is", irql)
#define _IRQL_requires_min_(irql) _WDK_ANNOTATE("irql.min", irql)
#define _IRQL_requires_max_(irql) _WDK_ANNOTATE("irql.max", irql)
#define _IRQL_requires_same_ _WDK_ANNOTATE_FLAG("irql.same")
#define _IRQL_raises_(irql) _WDK_ANNOTATE("irql.raises", irql)
#define _IRQL_saves_ _WDK_ANNOTATE_FLAG("irql.saves")
#define _IRQL_saves_global_(kind, param)
#define _IRQL_restores_ _WDK_ANNOTATE_FLAG("irql.restores")
#define _IRQL_restores_global_(kind, param)
#define _IRQL_limited_to_(irql)
#define _IRQL_uses_cancel_
#define _IRQL_is_cancel_
#define _IRQL_always_function_min_(irql)
#define _IRQL_always_function_max_(irql)
#define __drv_requiresIRQL(irql) _IRQL_requires_(irql)
#define __drv_minIRQL(irql) _IRQL_requires_min_(irql)
#define __drv_maxIRQL(irql) _IRQL_requires_max_(irql)
#define __drv_raisesIRQL(irql) _IRQL_raises_(irql)
#define __drv_setsIRQL(irql)
#define __drv_sameIRQL _IRQL_requires_same_
#define __drv_savesIRQL _IRQL_saves_
#define __drv_savesIRQLGlobal(kind, param)
#define __drv_restoresIRQL _IRQL_restores_
#define __drv_restoresIRQLGlobal(kind, param)
#define __drv_useCancelIRQL
#define __drv_isCancelIRQL
#define __drv_maxFunctionIRQL(irql)
#define __drv_minFunctionIRQL(irql)

/* Locks and kernel resources. */
#define _Acquires_lock_(lock)
#define _Releases_lock_(lock)
#define _Requires_lock_held_(lock)
#define _Requires_lock_not_held_(lock)
#define _Acquires_exclusive_lock_(lock)
#define _Releases_exclusive_lock_(lock)
#define _Acquires_shared_lock_(lock)
#define _Releases_shared_lock_(lock)
#define _Acquires_nonreentrant_lock_(lock)
#define _Releases_nonreentrant_lock_(lock)
#define _Requires_no_locks_held_
#define _Guarded_by_(lock)
#define _Interlocked_
#define _Interlocked_operand_
#define _Has_lock_kind_(kind)
#define _Has_lock_level_(level)
#define _Lock_level_order_(a, b)
#define _Create_lock_level_(level)
#define _Kernel_acquires_resource_(kind)
#define _Kernel_releases_resource_(kind)
#define _Kernel_requires_resource_held_(kind)
#define _Kernel_requires_resource_not_held_(kind)
#define _Kernel_clear_do_init_(yes_no)
#define _Kernel_float_saved_
#define _Kernel_float_restored_
#define _Kernel_float_used_
#define _Kernel_entry_
#define _Kernel_entry_always_

/* What a function is, and which dispatch routine serves which request. */
#define _Function_class_(name)
#define _Dispatch_type_(irp_major)
#define __drv_functionClass(name)
#define __drv_dispatchType(irp_major)
#define __drv_dispatchType_other
#define __drv_aliasesMem
#define __drv_allocatesMem(kind)
#define __drv_freesMem(kind)
#define __drv_acquiresExclusiveResource(kind)
#define __drv_releasesExclusiveResource(kind)
#define __drv_mustHold(kind)
#define __drv_neverHold(kind)
#define __drv_acquiresResource(kind)
#define __drv_releasesResource(kind)
#define __drv_reportError(text)
#define __drv_preferredFunction(name, reason)
#define __drv_valueIs(list)
#define __drv_in(x)
#define __drv_out(x)
#define __drv_when(condition, annotations)
#define __drv_at(target, annotations)
#define __drv_arg(target, annotations)
#define __drv_strictType(type, mode)
#define __drv_strictTypeMatch(mode)
#define __drv_constant
#define __drv_nonConstant
#define __drv_interlocked
#define __drv_inTry
#define __drv_notInTry
#define __drv_callbackType(kind)
#define __drv_unit_user_code
#define __drv_freesMemory(kind)
#define __prefast_operator_new_null
#define __drv_clearDoInit(yes_no)
#define _Post_satisfies_(condition)
#define _Pre_satisfies_(condition)

/* SAL 2: parameters and results. */
#define _In_
#define _In_opt_
#define _In_z_
#define _In_opt_z_
#define _In_reads_(n)
#define _In_reads_opt_(n)
#define _In_reads_bytes_(n)
#define _In_reads_bytes_opt_(n)
#define _In_reads_z_(n)
#define _In_reads_or_z_(n)
#define _In_range_(low, high)
#define _In_count_(n)
#define _In_bytecount_(n)
#define _Out_
#define _Out_opt_
#define _Out_writes_(n)
#define _Out_writes_opt_(n)
#define _Out_writes_z_(n)
#define _Out_writes_all_(n)
#define _Out_writes_to_(n, count)
#define _Out_writes_bytes_(n)
#define _Out_writes_bytes_opt_(n)
#define _Out_writes_bytes_all_(n)
#define _Out_writes_bytes_to_(n, count)
#define _Out_writes_bytes_to_opt_(n, count)
#define _Out_range_(low, high)
#define _Outptr_
#define _Outptr_opt_
#define _Outptr_result_maybenull_
#define _Outptr_result_nullonfailure_
#define _Outptr_result_bytebuffer_(n)
#define _Outptr_opt_result_bytebuffer_all_(n)
#define _Out_when_invalid_
#define _Inout_
#define _Inout_opt_
#define _Inout_z_
#define _Inout_updates_(n)
#define _Inout_updates_opt_(n)
#define _Inout_updates_bytes_(n)
#define _Inout_updates_bytes_opt_(n)
#define _Inout_updates_bytes_to_(n, count)
#define _Reserved_
#define _Pre_notnull_
#define _Pre_null_
#define _Pre_maybenull_
#define _Pre_valid_
#define _Pre_writable_byte_size_(n)
#define _Post_notnull_
#define _Post_maybenull_
#define _Post_invalid_
#define _Post_valid_
#define _Post_ptr_invalid_
#define _Post_writable_byte_size_(n)
#define _Post_readable_byte_size_(n)
#define _Post_equal_to_(x)
#define _Post_z_
#define _Ret_maybenull_
#define _Ret_notnull_
#define _Ret_z_
#define _Ret_range_(low, high)
#define _Ret_writes_(n)
#define _Ret_writes_bytes_(n)
#define _Check_return_
#define _Must_inspect_result_
#define _Success_(condition)
#define _Return_type_success_(condition)
#define _On_failure_(annotations)
#define _When_(condition, annotations)
#define _At_(target, annotations)
#define _At_buffer_(target, index, size, annotations)
#define _Always_(annotations)
#define _Printf_format_string_
#define _Null_terminated_
#define _NullNull_terminated_
#define _Frees_ptr_
#define _Frees_ptr_opt_
#define _Field_size_(n)
#define _Field_size_opt_(n)
#define _Field_size_bytes_(n)
#define _Field_size_bytes_opt_(n)
#define _Field_range_(low, high)
#define _Field_z_
#define _Struct_size_bytes_(n)
#define _Const_
#define _Notnull_
#define _Maybenull_
#define _Maybe_null_
#define _Points_to_data_
#define _Literal_
#define _Notliteral_
#define _Strict_type_match_
#define _Enum_is_bitflag_
#define _Use_decl_annotations_
#define _Analysis_assume_(condition) ((void)0)
#define _Analysis_noreturn_
#define _Analysis_mode_(mode)
#define __analysis_assume(condition) ((void)0)
#define __assume_if(condition)
#define _IRQL_inline_

#if defined(_WIN32) /* A driver translation unit: no standard library whose identifiers could clash. */
#define __in
#define __in_opt
#define __in_bcount(n)
#define __in_bcount_opt(n)
#define __in_ecount(n)
#define __in_ecount_opt(n)
#define __out
#define __out_opt
#define __out_bcount(n)
#define __out_bcount_opt(n)
#define __out_bcount_part(n, count)
#define __out_ecount(n)
#define __out_ecount_opt(n)
#define __inout
#define __inout_opt
#define __inout_bcount(n)
#define __inout_ecount(n)
#define __deref_out
#define __deref_out_opt
#define __deref_opt_out
#define __deref_inout
#define __reserved
#define __checkReturn
#define __nullterminated
#define __fallthrough
#define IN
#define OUT
#define OPTIONAL
#endif

#endif
