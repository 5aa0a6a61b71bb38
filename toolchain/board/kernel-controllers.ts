/**
 * The drivers of the storage controllers, by chip: without its driver a board never sees its store.
 *
 * A chip that is not here is not checked. Source: the compatibles that the drivers themselves list.
 */
import { hasStorage, type KernelRule } from './kernel-rule.ts';

const MMC = /^(?:emmc|sd)(?:-|$)/;
const UFS = /^ufs/;
const NVME = /^nvme/;

/** Chip, as the last compatible or the firmware names it; storage; option; module; file of the driver. */
const CONTROLLERS: readonly (readonly [
  chip: RegExp,
  storage: RegExp,
  option: string,
  module: string,
  driver: string,
])[] = [
  [/^ti,(?:am62|j7)/, MMC, 'MMC_SDHCI_AM654', 'sdhci_am654', 'mmc/host/sdhci_am654.c'],
  [
    /^(?:fsl,imx8m|nxp,s32g)/,
    MMC,
    'MMC_SDHCI_ESDHC_IMX',
    'sdhci_esdhc_imx',
    'mmc/host/sdhci-esdhc-imx.c',
  ],
  [
    /^rockchip,rk3588/,
    MMC,
    'MMC_SDHCI_OF_DWCMSHC',
    'sdhci_of_dwcmshc',
    'mmc/host/sdhci-of-dwcmshc.c',
  ],
  [
    /^rockchip,rk3588/,
    NVME,
    'PCIE_ROCKCHIP_DW_HOST',
    'pcie_dw_rockchip',
    'pci/controller/dwc/pcie-dw-rockchip.c',
  ],
  [/^renesas,r8a779/, MMC, 'MMC_SDHI', 'renesas_sdhi_core', 'mmc/host/renesas_sdhi_core.c'],
  [/^renesas,r8a779/, UFS, 'SCSI_UFS_RENESAS', 'ufs_renesas', 'ufs/host/ufs-renesas.c'],
  [/^qcom,/, UFS, 'SCSI_UFS_QCOM', 'ufs_qcom', 'ufs/host/ufs-qcom.c'],
  [/^brcm,bcm2712/, MMC, 'MMC_SDHCI_BRCMSTB', 'sdhci_brcmstb', 'mmc/host/sdhci-brcmstb.c'],
  [/^brcm,bcm2711/, MMC, 'MMC_SDHCI_IPROC', 'sdhci_iproc', 'mmc/host/sdhci-iproc.c'],
  [/^Elkhart Lake/, MMC, 'MMC_SDHCI_PCI', 'sdhci_pci', 'mmc/host/sdhci-pci-core.c'],
  [/^Elkhart Lake/, UFS, 'SCSI_UFSHCD_PCI', 'ufshcd_pci', 'ufs/host/ufshcd-pci.c'],
];

export const KERNEL_CONTROLLERS: readonly KernelRule[] = CONTROLLERS.map(
  ([chip, storage, option, module, driver]) => ({
    option,
    wanted: 'on',
    module,
    why: 'it is the driver of the storage controller',
    source: `drivers/${driver}`,
    when: (board) =>
      hasStorage(storage)(board) &&
      [...board.compatible, board.smbios?.product ?? ''].some((name) => chip.test(name)),
  }),
);
