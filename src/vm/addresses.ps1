# SPDX-License-Identifier: LGPL-2.1-or-later
# Gives a Windows guest's network cards the addresses that its failover settings name.  Set-VmrCard lines follow this text
# (vm/netscript.c), one per card, then Complete-Vmr.  Values are addresses, prefix lengths and MAC addresses and nothing else.
$ErrorActionPreference = 'Stop'
$script:failed = $false

function Set-VmrFamily($card, $family, $mode, $addresses, $gates) {
    if ($mode -eq 'keep') { return }
    $index = $card.ifIndex
    Get-NetRoute -InterfaceIndex $index -AddressFamily $family -ErrorAction SilentlyContinue |
        Where-Object { $_.DestinationPrefix -eq '0.0.0.0/0' -or $_.DestinationPrefix -eq '::/0' } |
        Remove-NetRoute -Confirm:$false -ErrorAction SilentlyContinue
    Get-NetIPAddress -InterfaceIndex $index -AddressFamily $family -ErrorAction SilentlyContinue |
        Where-Object { $_.PrefixOrigin -ne 'WellKnown' } | Remove-NetIPAddress -Confirm:$false -ErrorAction SilentlyContinue
    if ($mode -eq 'dhcp') {
        Set-NetIPInterface -InterfaceIndex $index -AddressFamily $family -Dhcp Enabled
        return
    }
    Set-NetIPInterface -InterfaceIndex $index -AddressFamily $family -Dhcp Disabled
    foreach ($address in $addresses) {
        $part = $address.Split('/')
        New-NetIPAddress -InterfaceIndex $index -AddressFamily $family -IPAddress $part[0] -PrefixLength $part[1] | Out-Null
    }
    $destination = if ($family -eq 'IPv4') { '0.0.0.0/0' } else { '::/0' }
    foreach ($gate in $gates) {
        New-NetRoute -InterfaceIndex $index -DestinationPrefix $destination -NextHop $gate | Out-Null
    }
}

function Set-VmrCard($mac, $mode4, $addr4, $gate4, $mode6, $addr6, $gate6, $dns) {
    try {
        $card = Get-NetAdapter | Where-Object { $_.MacAddress -eq $mac.ToUpper().Replace(':', '-') } | Select-Object -First 1
        if (-not $card) { throw "there is no card $mac" }
        Set-VmrFamily $card 'IPv4' $mode4 $addr4 $gate4
        Set-VmrFamily $card 'IPv6' $mode6 $addr6 $gate6
        if ($dns.Count) { Set-DnsClientServerAddress -InterfaceIndex $card.ifIndex -ServerAddresses $dns }
        elseif ($mode4 -eq 'dhcp') { Set-DnsClientServerAddress -InterfaceIndex $card.ifIndex -ResetServerAddresses }
    } catch {
        [Console]::Error.WriteLine($_.Exception.Message)
        $script:failed = $true
    }
}

function Complete-Vmr {
    Write-Output 'flavour windows'
    if ($script:failed) { exit 1 } else { exit 0 }
}
