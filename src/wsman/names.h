/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Names that WS-Management lives by (DSP0226, DSP0227, MS-WSMV).  Only names; the prefixes that we write are fixed, too: clients built on
 * openwsman look elements up as s:, a:, w: and p: literally, so replies use exactly s a w n x e and, for classes, p. */

#define NS_SOAP      "http://www.w3.org/2003/05/soap-envelope"                     /* s */
#define NS_SOAP11    "http://schemas.xmlsoap.org/soap/envelope/"
#define NS_ADDRESS   "http://schemas.xmlsoap.org/ws/2004/08/addressing"            /* a */
#define NS_WSMAN     "http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd"              /* w */
#define NS_ENUM      "http://schemas.xmlsoap.org/ws/2004/09/enumeration"           /* n */
#define NS_TRANSFER  "http://schemas.xmlsoap.org/ws/2004/09/transfer"              /* x */
#define NS_EVENT     "http://schemas.xmlsoap.org/ws/2004/08/eventing"              /* e */
#define NS_BINDING   "http://schemas.dmtf.org/wbem/wsman/1/cimbinding.xsd"         /* b, read only */
#define NS_MICROSOFT "http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd"         /* p in requests of MI clients */
#define NS_FAULT     "http://schemas.microsoft.com/wbem/wsman/1/wsmanfault"        /* f */
#define NS_IDENTITY  "http://schemas.dmtf.org/wbem/wsman/identity/1/wsmanidentity.xsd"
#define NS_CIM       "http://schemas.dmtf.org/wbem/wscim/1/common"                 /* cim */
#define NS_XSI       "http://www.w3.org/2001/XMLSchema-instance"                   /* xsi */
#define NS_REASON    "urn:vmreplica:reason"                                        /* r: why a ReturnValue is not 0, our own header */

#define ANONYMOUS    NS_ADDRESS "/role/anonymous"
#define PROTOCOL     NS_WSMAN

#define ACTION_GET         NS_TRANSFER "/Get"
#define ACTION_PUT         NS_TRANSFER "/Put"
#define ACTION_CREATE      NS_TRANSFER "/Create"
#define ACTION_DELETE      NS_TRANSFER "/Delete"
#define ACTION_ENUMERATE   NS_ENUM "/Enumerate"
#define ACTION_PULL        NS_ENUM "/Pull"
#define ACTION_RELEASE     NS_ENUM "/Release"
#define ACTION_RENEW       NS_ENUM "/Renew"
#define ACTION_STATUS      NS_ENUM "/GetStatus"
#define ACTION_SUBSCRIBE   NS_EVENT "/Subscribe"
#define ACTION_UNSUBSCRIBE NS_EVENT "/Unsubscribe"
#define ACTION_RENEW_EVENT NS_EVENT "/Renew"

#define ACTION_SUBSCRIPTION_END NS_EVENT "/SubscriptionEnd"
#define ACTION_EVENT     "http://schemas.dmtf.org/wbem/wsman/1/wsman/Event"
#define ACTION_EVENTS    "http://schemas.dmtf.org/wbem/wsman/1/wsman/Events"
#define ACTION_HEARTBEAT "http://schemas.dmtf.org/wbem/wsman/1/wsman/Heartbeat"
#define ACTION_DROPPED   "http://schemas.dmtf.org/wbem/wsman/1/wsman/DroppedEvents"
#define ACTION_ACK       "http://schemas.dmtf.org/wbem/wsman/1/wsman/Ack"

#define DELIVERY_PULL   "http://schemas.dmtf.org/wbem/wsman/1/wsman/Pull"
#define DELIVERY_PUSH   NS_EVENT "/DeliveryModes/Push"
#define DELIVERY_ACK    "http://schemas.dmtf.org/wbem/wsman/1/wsman/PushWithAck"
#define DELIVERY_EVENTS "http://schemas.dmtf.org/wbem/wsman/1/wsman/Events"

#define ACTION_FAULT_WSMAN    "http://schemas.dmtf.org/wbem/wsman/1/wsman/fault"
#define ACTION_FAULT_ADDRESS  NS_ADDRESS "/fault"
#define ACTION_FAULT_ENUM     NS_ENUM "/fault"
#define ACTION_FAULT_TRANSFER NS_TRANSFER "/fault"
#define ACTION_FAULT_EVENT    NS_EVENT "/fault"

#define FAULT_DETAIL "http://schemas.dmtf.org/wbem/wsman/1/wsman/faultDetail/"

#define DIALECT_WQL         "http://schemas.microsoft.com/wbem/wsman/1/WQL"
#define DIALECT_WQL_DMTF    "http://schemas.dmtf.org/wbem/wsman/1/WQL"
#define DIALECT_SELECTOR    "http://schemas.dmtf.org/wbem/wsman/1/wsman/SelectorFilter"
#define DIALECT_ASSOCIATION "http://schemas.dmtf.org/wbem/wsman/1/cimbinding/associationFilter"

/* The two families of resource URIs; see resource.h. */
#define URI_WMI       "http://schemas.microsoft.com/wbem/wsman/1/wmi/"
#define URI_DMTF      "http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/"
#define URI_DMTF_ALL  "http://schemas.dmtf.org/wbem/wscim/1/*"
#define URI_CLASSES   "http://schemas.dmtf.org/wbem/cim-xml/2/cim-schema/2/" /* classes themselves, as CIM-XML */

#define DEFAULT_NAMESPACE "root/virtualization/v2"
