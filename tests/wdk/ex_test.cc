// Odds and ends of the executive: exceptions, previous mode, processor features, and the calendar.
#include <wdm.h>

#include "kdpc/test.h"

namespace {

KDPC_TEST(Ex, AnExceptionThatNobodyHandlesIsABugCheck) {
  m.on(0, PASSIVE_LEVEL, [] { ExRaiseStatus(STATUS_INVALID_PARAMETER); });
  EXPECT_BUGCHECK(0x1E, static_cast<ULONG>(STATUS_INVALID_PARAMETER));
}

KDPC_TEST(Ex, TheKernelAsksAndTheProcessorIsAPlainOne) {
  m.on(0, PASSIVE_LEVEL, [] {
    KDPC_EXPECT_EQ(ExGetPreviousMode(), KernelMode);
    KDPC_EXPECT_EQ(ExIsProcessorFeaturePresent(PF_COMPARE_EXCHANGE128), TRUE);
    KDPC_EXPECT_EQ(ExIsProcessorFeaturePresent(PF_XSAVE_ENABLED), FALSE);
    KDPC_EXPECT_EQ(ExIsProcessorFeaturePresent(12345), FALSE);
    LARGE_INTEGER system, local;
    system.QuadPart = 132223104000000000;
    ExSystemTimeToLocalTime(&system, &local);
    KDPC_EXPECT_EQ(local.QuadPart, system.QuadPart);
    ExLocalTimeToSystemTime(&local, &system);
    KDPC_EXPECT_EQ(local.QuadPart, system.QuadPart);
  });
}

struct Moment {
  LONGLONG time;  // 100 ns since 1601
  TIME_FIELDS fields;
};
constexpr LONGLONG kDay = 864'000'000'000;
constexpr Moment kMoments[] = {
    {0, {1601, 1, 1, 0, 0, 0, 0, 1}},
    {132223104000000000, {2020, 1, 1, 0, 0, 0, 0, 3}},
    {132223104000000000 + 59 * kDay + 863'999'990'000, {2020, 2, 29, 23, 59, 59, 999, 6}},
    {132223104000000000 + 60 * kDay, {2020, 3, 1, 0, 0, 0, 0, 0}},
    {125911584000000000, {2000, 1, 1, 0, 0, 0, 0, 6}},
    {125911584000000000 + 59 * kDay, {2000, 2, 29, 0, 0, 0, 0, 2}},
    {94354848000000000 + 59 * kDay, {1900, 3, 1, 0, 0, 0, 0, 4}},
    {0x7fff'35f4'f06c'58f0, {30827, 12, 31, 23, 59, 59, 999, 5}},
};

KDPC_TEST(Calendar, TimeBecomesFieldsAndFieldsTime) {
  m.on(0, PASSIVE_LEVEL, [] {
    for (const Moment& moment : kMoments) {
      LARGE_INTEGER time;
      time.QuadPart = moment.time;
      TIME_FIELDS fields;
      RtlTimeToTimeFields(&time, &fields);
      KDPC_EXPECT_EQ(fields.Year, moment.fields.Year);
      KDPC_EXPECT_EQ(fields.Month, moment.fields.Month);
      KDPC_EXPECT_EQ(fields.Day, moment.fields.Day);
      KDPC_EXPECT_EQ(fields.Hour, moment.fields.Hour);
      KDPC_EXPECT_EQ(fields.Minute, moment.fields.Minute);
      KDPC_EXPECT_EQ(fields.Second, moment.fields.Second);
      KDPC_EXPECT_EQ(fields.Milliseconds, moment.fields.Milliseconds);
      KDPC_EXPECT_EQ(fields.Weekday, moment.fields.Weekday);
      time.QuadPart = -1;
      KDPC_EXPECT_EQ(RtlTimeFieldsToTime(&fields, &time), TRUE);
      KDPC_EXPECT_EQ(time.QuadPart, moment.time - moment.time % 10'000);
    }
  });
}

KDPC_TEST(Calendar, EveryDayOfFourHundredYearsGoesThereAndBack) {
  m.on(0, PASSIVE_LEVEL, [] {
    for (LONGLONG day = 0; day < 146'097 + 366; ++day) {
      LARGE_INTEGER time, back;
      TIME_FIELDS fields;
      time.QuadPart = day * kDay;
      RtlTimeToTimeFields(&time, &fields);
      if (!RtlTimeFieldsToTime(&fields, &back) || back.QuadPart != time.QuadPart) {
        KDPC_EXPECT_EQ(back.QuadPart, time.QuadPart);
        return;
      }
    }
  });
}

KDPC_TEST(Calendar, DaysThatDoNotExistAreRefused) {
  m.on(0, PASSIVE_LEVEL, [] {
    const TIME_FIELDS wrong[] = {{1600, 1, 1, 0, 0, 0, 0, 0},   {2019, 2, 29, 0, 0, 0, 0, 0}, {1900, 2, 29, 0, 0, 0, 0, 0},
                                 {2020, 4, 31, 0, 0, 0, 0, 0},  {2020, 13, 1, 0, 0, 0, 0, 0}, {2020, 1, 0, 0, 0, 0, 0, 0},
                                 {2020, 1, 1, 24, 0, 0, 0, 0},  {2020, 1, 1, 0, 60, 0, 0, 0}, {2020, 1, 1, 0, 0, 60, 0, 0},
                                 {2020, 1, 1, 0, 0, 0, 1000, 0}};
    for (TIME_FIELDS fields : wrong) {
      LARGE_INTEGER time;
      KDPC_EXPECT_EQ(RtlTimeFieldsToTime(&fields, &time), FALSE);
    }
  });
}

}  // namespace
