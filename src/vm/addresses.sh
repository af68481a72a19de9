# SPDX-License-Identifier: LGPL-2.1-or-later
# Gives a Linux guest's network cards the addresses that its failover settings name.  vmr_card lines follow this text (vm/netscript.c), one
# per card, then vmr_end.  Values are addresses, prefix lengths and MAC addresses and nothing else, so splitting at spaces is safe.
# The flavour is whoever manages the network here; VMR_FLAVOUR and VMR_ROOT are for tests.
root=${VMR_ROOT-} failed='' done=''

has() { command -v "$1" >/dev/null 2>&1; }

vmr_flavour() {
    if [ -n "${VMR_FLAVOUR-}" ]; then echo "$VMR_FLAVOUR"
    elif has nmcli && [ "$(nmcli -t -f RUNNING general 2>/dev/null)" = running ]; then echo networkmanager
    elif has netplan && [ -d "$root/etc/netplan" ]; then echo netplan
    elif has networkctl && systemctl -q is-active systemd-networkd 2>/dev/null; then echo networkd
    elif has ifup && [ -f "$root/etc/network/interfaces" ]; then echo ifupdown
    elif has ip; then echo iproute2
    else echo none
    fi
}

device_of() { # MAC
    for entry in "$root"/sys/class/net/*; do
        [ -r "$entry/address" ] && read -r mac <"$entry/address" && [ "$mac" = "$1" ] && echo "${entry##*/}" && return 0
    done
    return 1
}

first() { echo "$1"; }
commas() { list=''; for word in "$@"; do list="$list${list:+,}$word"; done; echo "$list"; }

# mode4 and mode6 are keep, dhcp or static; addr4, gate4, addr6, gate6 and dns are lists.

vmr_networkmanager() {
    id=$(nmcli -g GENERAL.CON-UUID device show "$dev") || id=''
    if [ -z "$id" ]; then
        nmcli connection add type ethernet con-name "vmreplica-$dev" ifname "$dev" >/dev/null || return 1
        id=vmreplica-$dev
    fi
    set --
    [ "$mode4" = dhcp ] && set -- "$@" ipv4.method auto ipv4.addresses '' ipv4.gateway ''
    [ "$mode4" = static ] && set -- "$@" ipv4.method manual ipv4.addresses "$(commas $addr4)" ipv4.gateway "$(first $gate4)"
    [ "$mode6" = static ] && set -- "$@" ipv6.method manual ipv6.addresses "$(commas $addr6)" ipv6.gateway "$(first $gate6)"
    dns4='' dns6=''
    for server in $dns; do
        case $server in *:*) dns6="$dns6 $server" ;; *) dns4="$dns4 $server" ;; esac
    done
    [ -n "$dns4" ] && set -- "$@" ipv4.dns "$(commas $dns4)"
    [ -n "$dns6" ] && set -- "$@" ipv6.dns "$(commas $dns6)"
    nmcli connection modify "$id" "$@" && nmcli connection up "$id" ifname "$dev" >/dev/null
}

yaml_list() { # INDENT NAME WORD...
    [ $# -gt 2 ] || return 0
    echo "$1$2:"
    indent=$1
    shift 2
    for word in "$@"; do echo "$indent  - \"$word\""; done
}

# Lists of all files are joined, so what the card has in others is taken out first.
vmr_netplan() {
    file=$root/etc/netplan/99-vmreplica.yaml
    for key in addresses routes gateway4 gateway6 nameservers; do
        netplan set "ethernets.$dev.$key=null" >/dev/null 2>&1
    done
    [ -n "$done" ] || printf 'network:\n  version: 2\n  ethernets:\n' >"$file"
    chmod 600 "$file"
    {
        echo "    $dev:"
        [ "$mode4" = dhcp ] && echo '      dhcp4: true'
        [ "$mode4" = static ] && echo '      dhcp4: false'
        [ "$mode6" = static ] && echo '      dhcp6: false'
        yaml_list '      ' addresses $addr4 $addr6
        [ -z "$gate4$gate6" ] || echo '      routes:'
        for gate in $gate4; do printf '        - to: "0.0.0.0/0"\n          via: "%s"\n' "$gate"; done
        for gate in $gate6; do printf '        - to: "::/0"\n          via: "%s"\n' "$gate"; done
        [ -z "$dns" ] || echo '      nameservers:'
        yaml_list '        ' addresses $dns
    } >>"$file"
}

vmr_networkd() {
    file=$root/etc/systemd/network/05-vmreplica-$dev.network
    mkdir -p "${file%/*}"
    {
        printf '[Match]\nMACAddress=%s\n\n[Network]\n' "$card"
        [ "$mode4" = static ] && echo 'DHCP=no' || echo 'DHCP=ipv4'
        [ "$mode6" = static ] && echo 'IPv6AcceptRA=no'
        for word in $addr4 $addr6; do echo "Address=$word"; done
        for word in $gate4 $gate6; do echo "Gateway=$word"; done
        for word in $dns; do echo "DNS=$word"; done
    } >"$file"
    chmod 644 "$file"
    networkctl reload && networkctl reconfigure "$dev"
}

# Stanzas of this card and family go; the file from before stays beside it.
without_stanza() { # FILE FAMILY
    awk -v dev="$dev" -v family="$2" '
        /^[ \t]*(iface|auto|allow-|mapping|source)/ { drop = $1 == "iface" && $2 == dev && $3 == family }
        !drop' "$1" >"$1.vmreplica-new" && cat "$1.vmreplica-new" >"$1"
    rm -f "$1.vmreplica-new"
}

stanza() { # FAMILY GATES ADDRESS...
    family=$1 gate=$2
    shift 2
    printf '\niface %s %s static\n    address %s\n' "$dev" "$family" "$1"
    [ -z "$gate" ] || echo "    gateway $gate"
    [ -z "$dns" ] || echo "    dns-nameservers $dns"
    shift
    for word in "$@"; do echo "    up ip addr add $word dev $dev"; done
}

vmr_ifupdown() {
    file=$root/etc/network/interfaces
    [ -e "$file.before-vmreplica" ] || cp "$file" "$file.before-vmreplica"
    ifdown --force "$dev" >/dev/null 2>&1
    for any in "$file" "$root"/etc/network/interfaces.d/*; do
        [ -f "$any" ] || continue
        [ "$mode4" = keep ] || without_stanza "$any" inet
        [ "$mode6" = keep ] || without_stanza "$any" inet6
    done
    grep -Eq "^[ \t]*(auto|allow-hotplug)[ \t].*\b$dev\b" "$file" || printf '\nauto %s\n' "$dev" >>"$file"
    [ "$mode4" = dhcp ] && printf '\niface %s inet dhcp\n' "$dev" >>"$file"
    [ "$mode4" = static ] && stanza inet "$(first $gate4)" $addr4 >>"$file"
    [ "$mode6" = static ] && stanza inet6 "$(first $gate6)" $addr6 >>"$file"
    ifup "$dev" >/dev/null
}

dhcp_now() {
    if has dhclient; then dhclient -1 "$dev" >/dev/null
    elif has udhcpc; then udhcpc -n -q -i "$dev" >/dev/null
    elif has dhcpcd; then dhcpcd -1 "$dev" >/dev/null
    else echo "there is no DHCP client" >&2 && return 1
    fi
}

vmr_iproute2() {
    ip link set dev "$dev" up || return 1
    [ "$mode4" = keep ] || ip -4 addr flush dev "$dev" scope global || return 1
    [ "$mode6" = keep ] || ip -6 addr flush dev "$dev" scope global || return 1
    for word in $addr4; do ip -4 addr add "$word" dev "$dev" || return 1; done
    for word in $addr6; do ip -6 addr add "$word" dev "$dev" || return 1; done
    [ "$mode4" != dhcp ] || dhcp_now || return 1
    [ -z "$gate4" ] || ip -4 route replace default via "$(first $gate4)" dev "$dev" || return 1
    [ -z "$gate6" ] || ip -6 route replace default via "$(first $gate6)" dev "$dev" || return 1
    [ -n "$dns" ] || return 0
    for word in $dns; do echo "nameserver $word"; done >"$root/etc/resolv.conf"
}

vmr_none() {
    echo "no tool for network settings was found" >&2
    return 1
}

vmr_card() { # MAC MODE4 ADDR4 GATE4 MODE6 ADDR6 GATE6 DNS
    card=$1 mode4=$2 addr4=$3 gate4=$4 mode6=$5 addr6=$6 gate6=$7 dns=$8
    if ! dev=$(device_of "$card"); then
        echo "there is no card $card" >&2
        failed=yes
    elif ! "vmr_$flavour"; then
        echo "card $dev ($card) was not set" >&2
        failed=yes
    fi
    done=yes
}

vmr_end() {
    [ "$flavour" != netplan ] || netplan apply || failed=yes
    echo "flavour $flavour"
    [ -z "$failed" ]
}

flavour=$(vmr_flavour)
