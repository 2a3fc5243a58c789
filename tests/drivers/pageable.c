/* Code and data in pageable sections, put there in each of the ways there are. The setting `what` says which mistake it makes, if any. */
#include <wdm.h>

static ULONG Calls;

static VOID ByAllocText(VOID);
static VOID SaysPagedCode(VOID);
#pragma alloc_text(PAGE, ByAllocText)
#pragma alloc_text(INIT, DriverEntry)

static VOID ByAllocText(VOID) { Calls++; }
static VOID SaysPagedCode(VOID) {
  PAGED_CODE();
  Calls++;
}

#pragma code_seg(push, "PAGEtwo")
static __declspec(noinline) VOID ByCodeSeg(VOID) { Calls++; }
#pragma code_seg(pop)

__declspec(code_seg("PAGE")) __declspec(noinline) static VOID ByDeclspec(VOID) { Calls++; }
__attribute__((section("PAGE"), noinline)) static VOID ByAttribute(VOID) { Calls++; }

#pragma data_seg("PAGEDATA")
static volatile ULONG Paged = 5;
#pragma data_seg()
static volatile ULONG Ordinary = 6;

static VOID Unload(PDRIVER_OBJECT driver) { UNREFERENCED_PARAMETER(driver); }

static VOID CallAll(VOID) {
  ByAllocText();
  SaysPagedCode();
  ByCodeSeg();
  ByDeclspec();
  ByAttribute();
  Calls += Paged + Ordinary;
}

NTSTATUS DriverEntry(PDRIVER_OBJECT driver, PUNICODE_STRING registry_path) {
  ULONG what = 0;
  KIRQL old;
  PVOID code, data;
  RTL_QUERY_REGISTRY_TABLE table[] = {{NULL, RTL_QUERY_REGISTRY_DIRECT, L"what", &what, REG_NONE, NULL, 0}, {NULL, 0, NULL, NULL, 0, NULL, 0}};
  driver->DriverUnload = Unload;
  RtlQueryRegistryValues(RTL_REGISTRY_ABSOLUTE, registry_path->Buffer, table, NULL, NULL);

  CallAll();
  code = MmLockPagableCodeSection((PVOID)(ULONG_PTR)ByAllocText);
  data = MmLockPagableDataSection((PVOID)(ULONG_PTR)&Paged);
  KeRaiseIrql(DISPATCH_LEVEL, &old);
  ByAllocText();
  ByCodeSeg();
  Paged = 7;
  KeLowerIrql(old);
  MmUnlockPagableImageSection(code);
  MmUnlockPagableImageSection(data);
  CallAll();

  KeRaiseIrql(DISPATCH_LEVEL, &old);
  Calls += Ordinary;
  if (what == 1) ByAllocText();
  if (what == 2) SaysPagedCode();
  if (what == 3) ByCodeSeg();
  if (what == 4) ByDeclspec();
  if (what == 5) ByAttribute();
  if (what == 6) Paged = 8;
  KeLowerIrql(old);
  return Paged == 7 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
