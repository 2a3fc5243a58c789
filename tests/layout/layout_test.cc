// On the host, too, the structures have NT's sizes and offsets: what a driver wrote is what the kernel's C++ reads.
#include <gtest/gtest.h>

#include <wdm.h>

#define TYPE(type, size) static_assert(sizeof(type) == (size));
#define FIELD(type, field, offset) static_assert(offsetof(type, field) == (offset));
#define OUR_TYPE(type, size, why) TYPE(type, size)
#define OUR_FIELD(type, field, offset, why) FIELD(type, field, offset)
#include "layouts.inc"

namespace {

KSERVICE_ROUTINE claim;
BOOLEAN NTAPI claim(PKINTERRUPT, PVOID context) { return context != nullptr; }

NTSTATUS NTAPI refuse(PDEVICE_OBJECT, PIRP) { return STATUS_INVALID_DEVICE_REQUEST; }

// The convention must survive in a table of routines: arguments arrive in the registers of Win64.
TEST(WdkHeaders, RoutinesCalledThroughStructuresKeepTheirConvention) {
  DRIVER_OBJECT driver{};
  driver.MajorFunction[IRP_MJ_READ] = refuse;
  EXPECT_EQ(driver.MajorFunction[IRP_MJ_READ](nullptr, nullptr), STATUS_INVALID_DEVICE_REQUEST);
  PKSERVICE_ROUTINE routine = claim;
  EXPECT_TRUE(routine(nullptr, &driver));
  EXPECT_FALSE(routine(nullptr, nullptr));
}

TEST(WdkHeaders, StatusValuesAreSignedAndClassified) {
  EXPECT_TRUE(NT_SUCCESS(STATUS_PENDING) && NT_SUCCESS(STATUS_TIMEOUT) && NT_SUCCESS(STATUS_ALERTED));
  EXPECT_TRUE(NT_WARNING(STATUS_BUFFER_OVERFLOW) && !NT_SUCCESS(STATUS_BUFFER_OVERFLOW));
  EXPECT_TRUE(NT_ERROR(STATUS_UNSUCCESSFUL) && NT_INFORMATION(STATUS_OBJECT_NAME_EXISTS));
}

TEST(WdkHeaders, AnIrpMovesAlongItsStack) {
  struct {
    IRP irp;
    IO_STACK_LOCATION stack[2];
  } packet{};
  IRP* irp = &packet.irp;
  irp->CurrentLocation = 2;
  irp->Tail.Overlay.CurrentStackLocation = &packet.stack[1];
  IoGetCurrentIrpStackLocation(irp)->MajorFunction = IRP_MJ_PNP;
  IoMarkIrpPending(irp);
  IoCopyCurrentIrpStackLocationToNext(irp);
  IoSetCompletionRoutine(irp, nullptr, irp, TRUE, FALSE, TRUE);
  IoSetNextIrpStackLocation(irp);
  EXPECT_EQ(IoGetCurrentIrpStackLocation(irp), &packet.stack[0]);
  EXPECT_EQ(packet.stack[0].MajorFunction, IRP_MJ_PNP);
  EXPECT_EQ(packet.stack[0].Control, SL_INVOKE_ON_SUCCESS | SL_INVOKE_ON_CANCEL);
  EXPECT_EQ(packet.stack[0].Context, irp);
  IoSkipCurrentIrpStackLocation(irp);
  EXPECT_EQ(irp->CurrentLocation, 2);
}

TEST(WdkHeaders, InterlockedOperationsReturnWhatNtReturns) {
  LONG value = 5;
  EXPECT_EQ(InterlockedIncrement(&value), 6);       // the new value
  EXPECT_EQ(InterlockedExchangeAdd(&value, 4), 6);  // the old value
  EXPECT_EQ(InterlockedAdd(&value, 1), 11);         // the new value
  EXPECT_EQ(InterlockedOr(&value, 16), 11);         // the old value
  EXPECT_EQ(InterlockedCompareExchange(&value, 1, 2), 27);
  EXPECT_EQ(value, 27);
  EXPECT_EQ(InterlockedCompareExchange(&value, 1, 27), 27);
  EXPECT_EQ(value, 1);
  EXPECT_FALSE(InterlockedBitTestAndSet(&value, 31));
  EXPECT_TRUE(InterlockedBitTestAndReset(&value, 31));
  LONG64 wide = 1;
  EXPECT_EQ(InterlockedCompareExchange64(&wide, 1LL << 40, 1), 1);
  EXPECT_EQ(wide, 1LL << 40);
}

TEST(WdkHeaders, ListsKeepOrder) {
  LIST_ENTRY head, entries[3];
  InitializeListHead(&head);
  InsertTailList(&head, &entries[1]);
  InsertTailList(&head, &entries[2]);
  InsertHeadList(&head, &entries[0]);
  EXPECT_FALSE(RemoveEntryList(&entries[1]));
  EXPECT_EQ(RemoveHeadList(&head), &entries[0]);
  EXPECT_EQ(RemoveTailList(&head), &entries[2]);
  EXPECT_TRUE(IsListEmpty(&head));
}

}  // namespace
