/* What an application says to the driver: it opens \\.\Ac97_0, writes 48 kHz 16-bit stereo, and may ask for these. */
#ifndef AC97IO_H
#define AC97IO_H

#define AC97_FRAME_BYTES 4 /* left and right, 16 bits each */
#define AC97_FRAMES_PER_SECOND 48000

/* Returns when everything written before has been heard. FlushFileBuffers does the same. */
#define IOCTL_AC97_DRAIN CTL_CODE(FILE_DEVICE_SOUND, 0x800, METHOD_BUFFERED, FILE_WRITE_ACCESS)
/* In: AC97_VOLUME. */
#define IOCTL_AC97_SET_VOLUME CTL_CODE(FILE_DEVICE_SOUND, 0x801, METHOD_BUFFERED, FILE_WRITE_ACCESS)
/* Out: AC97_POSITION. */
#define IOCTL_AC97_GET_POSITION CTL_CODE(FILE_DEVICE_SOUND, 0x802, METHOD_BUFFERED, FILE_ANY_ACCESS)

typedef struct _AC97_VOLUME {
  UCHAR Left; /* attenuation in steps of 1.5 dB, 0…31 */
  UCHAR Right;
  UCHAR Mute;
  UCHAR Reserved;
} AC97_VOLUME, *PAC97_VOLUME;

typedef struct _AC97_POSITION {
  ULONGLONG FramesTaken;  /* from the application into the ring */
  ULONGLONG FramesPlayed; /* read by the card; it reads up to 22 ms ahead of what is heard */
  ULONG Interrupts;
  ULONG Underruns; /* how often the card found nothing to play before the end */
} AC97_POSITION, *PAC97_POSITION;

#endif
